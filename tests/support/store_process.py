"""A process of its own that works on a job store: `python store_process.py ROLE ADDRESS`; answers on its stdout."""

import os
import signal
import sys
import time

from support.job_stores import Clock, new_job, opened

from api.jobs.job import Status
from api.stores import sql
from api.stores.rows import job_values


def claim_all(address: str) -> None:
    """Claim and finish until nothing waits; print every id that was claimed. Starts when a line comes on stdin."""
    with opened(address) as stores:
        print("ready", flush=True)
        sys.stdin.readline()
        while job := stores.jobs.claim(f"worker-{os.getpid()}"):
            assert stores.jobs.finish(job.lease, Status.SUCCEEDED), "only this process holds the lease"
            print(job.id)


def die_in_a_transaction(address: str) -> None:
    """Add one job, then die by SIGKILL with a second one inserted and not committed."""
    with opened(address, Clock(time.time())) as stores:
        print(stores.add().id, flush=True)
        lost = new_job(stores.clock)

        def work(connection: object) -> None:
            connection.execute(sql.INSERT_JOB, job_values(lost))  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGKILL)

        stores.database.write(work)


def add_until_killed(address: str) -> None:
    """Add jobs as fast as possible; print an id only after its job is acknowledged."""
    with opened(address) as stores:
        while True:
            print(stores.add().id, flush=True)


def just_open(address: str) -> None:
    """Open a store that may not exist yet, at the same moment as others."""
    print("ready", flush=True)
    sys.stdin.readline()
    with opened(address) as stores:
        print(stores.jobs.counts()[Status.QUEUED])


if __name__ == "__main__":
    role, address = sys.argv[1:]
    {
        "claim": claim_all,
        "die": die_in_a_transaction,
        "add": add_until_killed,
        "open": just_open,
    }[role](address)
