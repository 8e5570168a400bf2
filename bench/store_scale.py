"""The job store with a long history: its operations at 1,000 and at 1,000,000 ended jobs, and adds per second.

Exits 1 when the median of any of them grows by more than half. `--rows N` for another size.
"""

import argparse
import random
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.ids import JobId
from api.jobs.job import Job, Status
from api.jobs.store import Cursor, JobFilter, Progress
from api.stores.job_store import SqlJobStore
from api.stores.sqlite import SqliteDatabase

ALLOWED = 1.5
SAMPLES = 500
WAITING = 200
T0 = 1_700_000_000.0

# Every tenth job failed, every third belongs to a workflow; ids in random order, as UUIDs come.
HISTORY = """
INSERT INTO jobs (id, created_at, status, priority, rank, dialect, available_at, started_at, finished_at, attempts,
                  max_attempts, attempt, worker, heartbeat_at, prompt_id, instance, progress, cancel_requested,
                  workflow_name, labels, request_path, result_path)
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :rows)
SELECT lower(hex(randomblob(16))), :t0 + i, iif(i % 10, 'succeeded', 'failed'), 'normal', :t0 + i, 'seed', 0, :t0 + i,
       :t0 + i + 9, 1, 3, 1, 'worker-1', :t0 + i + 9, lower(hex(randomblob(16))), 'gpu0', 1.0, 0,
       iif(i % 3, NULL, 'flow' || (i % 30)), '{"team": "a"}', 'spool/' || i || '/request', 'spool/' || i || '/result'
FROM n
"""


def new_job() -> Job:
    return Job(JobId(str(uuid.uuid4())), created_at=time.time())


def fill(path: Path, rows: int) -> list[JobId]:
    """A history of so many ended jobs; some ids out of it."""
    driver = sqlite3.connect(path)
    with driver:
        driver.execute(HISTORY, {"rows": rows, "t0": T0})
        driver.execute(
            "UPDATE job_tallies SET number = (SELECT count(*) FROM jobs WHERE jobs.status = job_tallies.status)"
        )
    ids = [JobId(row[0]) for row in driver.execute("SELECT id FROM jobs ORDER BY random() LIMIT ?", (SAMPLES,))]
    driver.close()
    return ids


class Subject:
    """A store with a history of `rows` jobs, and the operations to time on it."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.rows, self.path = rows, folder / f"{rows}.db"
        self.store = SqlJobStore(SqliteDatabase(self.path), time.time)
        self.ids = fill(self.path, rows)
        self.running: list[Job] = []
        for _ in range(WAITING):
            self.store.add(new_job())
        self.waiting = self.store.upcoming(WAITING)[-1].id

    def claim(self) -> None:
        job = self.store.claim("bench")
        assert job is not None
        self.running.append(job)

    def operations(self) -> dict[str, Callable[[int], object]]:
        """Each is called with 0, 1, 2 … In this order a job lives its life."""
        store, places = self.store, [Cursor(T0 + random.uniform(0, self.rows), JobId("")) for _ in range(SAMPLES)]
        failed, named = JobFilter(frozenset({Status.FAILED})), JobFilter(workflow_name="flow3")
        several = JobFilter(frozenset({Status.FAILED, Status.QUEUED}))
        return {
            "add (synced)": lambda _: store.add(new_job()),
            "claim": lambda _: self.claim(),
            "heartbeat": lambda i: store.heartbeat(self.running[i].lease, Progress(0.5)),
            "finish (synced)": lambda i: store.finish(self.running[i].lease, Status.SUCCEEDED),
            "get": lambda i: store.get(self.ids[i]),
            "list newest 20": lambda _: store.list(JobFilter(), 20),
            "list anywhere": lambda i: store.list(JobFilter(), 20, places[i]),
            "list one status": lambda i: store.list(failed, 20, places[i]),
            "list two statuses": lambda i: store.list(several, 20, places[i]),
            "list one workflow": lambda i: store.list(named, 20, places[i]),
            "counts": lambda _: store.counts(),
            "position": lambda _: store.position(self.waiting),
        }


def compare(few: Subject, many: Subject) -> dict[str, tuple[float, float]]:
    """Medians in microseconds, taken in turns: what else the machine does falls on both."""
    found = {}
    for (name, on_few), on_many in zip(few.operations().items(), many.operations().values(), strict=True):
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(SAMPLES):
            for operation, taken in zip((on_few, on_many), times, strict=True):
                start = time.perf_counter()
                operation(number)
                taken.append(time.perf_counter() - start)
        found[name] = (statistics.median(times[0]) * 1e6, statistics.median(times[1]) * 1e6)
    return found


def adds_per_s(store: SqlJobStore, threads: int, each: int) -> float:
    def add() -> None:
        for _ in range(each):
            store.add(new_job())

    running = [threading.Thread(target=add) for _ in range(threads)]
    start = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return threads * each / (time.perf_counter() - start)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        few, many = Subject(Path(folder), 1000), Subject(Path(folder), rows)
        found = compare(few, many)
        adds = {threads: adds_per_s(many.store, threads, each) for threads, each in ((1, 1000), (64, 100))}
        few.store.close()
        many.store.close()
    print(f"{'p50, µs':<24}{1000:>12,}{rows:>12,}{'ratio':>8}")
    for name, (small, large) in found.items():
        print(f"{name:<24}{small:>12.0f}{large:>12.0f}{large / small:>8.2f}")
    for threads, number in adds.items():
        print(f"{number:,.0f} durable adds/s from {threads} thread(s)")
    worst = max(large / small for small, large in found.values())
    print(f"worst ratio {worst:.2f}, allowed {ALLOWED}")
    return int(worst > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
