"""The job layer around a handler whose runs are written by the test: real database, real spool, real threads."""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.job_stores import Clock
from support.waiting import wait_for

from api.ids import InstanceName
from api.inputs.resolve import InputPolicy, InputResolver
from api.jobs.dispatcher import Dispatcher
from api.jobs.hub import EventHub
from api.jobs.intake import Intake
from api.jobs.job import Job, Status
from api.jobs.request import Limits, parse
from api.jobs.results import Results
from api.jobs.service import JobService
from api.jobs.spool import Spool
from api.jobs.submission import Submission
from api.sealing import Sealer
from api.stores.job_store import SqlJobStore
from api.stores.sqlite import SqliteDatabase

# How soon a dispatcher that waits for room hears that it shall stop.
_STOP_HEARD_S = 0.02
WORKFLOW = {"1": {"class_type": "EmptyImage", "inputs": {}}}
Run = Callable[..., dict[str, Any]]


class Seats:
    """Room for so many jobs while `usable` is set."""

    def __init__(self, usable: threading.Event, count: int) -> None:
        self._usable = usable
        self._count = count
        self._free = threading.Semaphore(count)

    def take(self, timeout_s: float) -> "TakenSeat | None":
        timeout_s = min(timeout_s, _STOP_HEARD_S)
        if not self._usable.wait(timeout_s) or not self._free.acquire(timeout=timeout_s):
            return None
        if not self._usable.is_set():  # held since
            self._free.release()
            return None
        return TakenSeat(self._free)

    def taken(self) -> int:
        return self._count - self._free._value

    def available(self, besides: InstanceName | None = None) -> bool:
        return besides is None and self._usable.is_set()  # there is one ComfyUI

    def most(self) -> int:
        return self._count


class TakenSeat:
    def __init__(self, free: threading.Semaphore) -> None:
        self._free: threading.Semaphore | None = free

    def leave(self) -> None:
        free, self._free = self._free, None
        if free:
            free.release()


@dataclass
class JobRig:
    """`usable` is what the dispatchers are told of ComfyUI."""

    store: SqlJobStore
    spool: Spool
    intake: Intake
    hub: EventHub
    service: JobService
    clock: Clock
    usable: threading.Event
    seats: list[Seats] = field(default_factory=list)

    def submit(self, given: dict[str, Any] | None = None, **options: Any) -> Job:
        job = {"input": {"workflow": WORKFLOW, **(given or {})}}
        return self.service.submit(Submission(job, "test", **options)).job

    def status(self, job: Job) -> Status:
        return self.service.get(job.id).status

    def ended(self, job: Job) -> Job:
        return wait_for(lambda: (found := self.service.get(job.id)).is_terminal and found, f"the end of {job.id}")

    def dispatcher(self, run: Run, concurrency: int = 1, **options: Any) -> Dispatcher:
        values = {"worker": "worker-1", "heartbeat_s": 0.05} | options
        return Dispatcher(
            store=self.store,
            spool=self.spool,
            intake=self.intake,
            service=self.service,
            hub=self.hub,
            core=run,
            capacity=self._seats(concurrency),
            **values,
        )

    def hold(self) -> None:
        """From now on jobs stay in line: also the dispatcher that was just looking for one takes none any more."""
        self.usable.clear()
        wait_for(self._is_held, "the dispatchers to let go of their seats")

    def _seats(self, count: int) -> Seats:
        seats = Seats(self.usable, count)
        self.seats.append(seats)
        return seats

    def _is_held(self) -> bool:
        self.store.resume()  # wakes whoever waits for a job with a seat in hand
        running = self.service.counts()[Status.RUNNING]
        return sum(seats.taken() for seats in self.seats) <= running

    @contextmanager
    def dispatching(self, run: Run, **options: Any) -> Iterator[Dispatcher]:
        dispatcher = self.dispatcher(run, **options)
        dispatcher.start()
        try:
            yield dispatcher
        finally:
            dispatcher.drain(5)


@contextmanager
def job_rig(folder: Path, **options: Any) -> Iterator[JobRig]:
    clock, usable = Clock(), threading.Event()
    usable.set()
    database = SqliteDatabase(folder / "jobs.db", sync="NORMAL")
    spool = Spool(folder / "files", options.pop("min_free_bytes", 0))
    store, sealer = SqlJobStore(database, clock), Sealer(bytes(32))
    inputs = InputResolver(InputPolicy())
    intake = Intake(spool, sealer, inputs.keep, lambda _sha256: None)
    hub = EventHub(clock)
    values: dict[str, Any] = {
        "check": functools.partial(parse, limits=Limits()),
        "check_webhook": lambda _url: None,
        "waits_for": lambda _job: None,
    }
    service = JobService(
        store=store,
        spool=spool,
        intake=intake,
        results=Results(spool),
        hub=hub,
        sealer=sealer,
        clock=clock,
        **(values | options),
    )
    try:
        yield JobRig(store, spool, intake, hub, service, clock, usable)
    finally:
        database.close()
