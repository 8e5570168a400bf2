"""Jobs submitted to a worker while it is in trouble of some kind, at random: what must come of them."""

import random
import resource
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import requests
from support import sample_jobs
from support.api_worker import TERMINAL, ApiWorker
from support.standin_process import StandinProcess

_SUBMITTERS = 4
VICTIMS = ("worker", "comfyui", "both")


@dataclass
class Tally:
    """What became of each job, by its id, and how often there was trouble of each kind."""

    ended: dict[str, dict[str, Any]] = field(default_factory=dict)
    troubles: Counter[str] = field(default_factory=Counter)


Trouble = Callable[["Chaos"], str]


def kills(chaos: "Chaos") -> str:
    """kill -9 the worker, ComfyUI or both; nothing answers for a moment, then they are started again."""
    # In no order, but none of them seldom.
    victims = min(chaos.random.sample(VICTIMS, len(VICTIMS)), key=lambda each: chaos.tally.troubles[each])
    if victims != "comfyui":
        chaos.worker.kill()
    if victims != "worker":
        chaos.comfyui.kill()
    chaos.pause(chaos.random.uniform(0.0, 0.3))
    if victims != "worker":
        chaos.comfyui.restart()
    if victims != "comfyui":
        chaos.worker.start()
    return victims


def full_disk(chaos: "Chaos") -> str:
    """For a while no file of the worker may grow."""
    pid = chaos.worker.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (100, hard))
    chaos.pause(chaos.random.uniform(0.5, 1.5))
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    return "full disk"


def locked_database(chaos: "Chaos") -> str:
    """For a while somebody else (a backup) holds the database's write lock."""
    backup = sqlite3.connect(chaos.worker.database, isolation_level=None)
    with closing(backup):
        backup.execute("PRAGMA busy_timeout=30000")
        backup.execute("BEGIN IMMEDIATE")
        chaos.pause(chaos.random.uniform(0.5, 1.5))
        backup.execute("ROLLBACK")
    return "locked database"


class Chaos:
    """Makes `trouble` every `every_s` seconds or so until all jobs have ended."""

    def __init__(
        self, worker: ApiWorker, comfyui: StandinProcess, trouble: Trouble, *, every_s: float, seed: int
    ) -> None:
        self.worker = worker
        self.comfyui = comfyui
        self.random = random.Random(seed)
        self._trouble = trouble
        self._every_s = every_s
        self._stop = threading.Event()
        self.tally = Tally()

    def run(self, jobs: int, execute_s: float, timeout_s: float) -> Tally:
        """Submit so many jobs meanwhile, wait for all of them, and return what became of each."""
        trouble = threading.Thread(target=self._make_trouble, name="trouble")
        trouble.start()
        try:
            ids = self._submitted(jobs, execute_s)
            self._await(ids, timeout_s)
        finally:
            self._stop.set()
            trouble.join()
        return self.tally

    def pause(self, seconds: float) -> None:
        """Let some time pass, less when the drill is over."""
        self._stop.wait(seconds)

    def _make_trouble(self) -> None:
        while not self._stop.wait(self.random.uniform(0.5, 1.5) * self._every_s):
            self.tally.troubles.update([self._trouble(self)])

    def _submitted(self, jobs: int, execute_s: float) -> list[str]:
        ids: list[str] = []
        numbers = iter(range(jobs))
        lock = threading.Lock()

        def submit() -> None:
            session = requests.Session()
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                job_id = self._submit(session, sample_jobs.slow(execute_s, color=number + 1))
                with lock:
                    ids.append(job_id)

        threads = [threading.Thread(target=submit, name=f"submitter-{at}") for at in range(_SUBMITTERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return ids

    def _submit(self, session: requests.Session, workflow: dict[str, Any]) -> str:
        """As a careful client does: the same key until there is an answer."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        while True:
            try:
                answer = session.post(
                    f"{self.worker.url}/run", json={"workflow": workflow}, headers=headers, timeout=10
                )
            except (requests.ConnectionError, requests.Timeout):
                self.pause(0.05)
                continue
            if answer.status_code == 202:
                job_id: str = answer.json()["job_id"]
                return job_id
            assert answer.status_code in {429, 503, 507}, answer.text
            self.pause(0.1)

    def _await(self, ids: list[str], timeout_s: float) -> None:
        assert len(set(ids)) == len(ids), "two submissions were given the same job"
        deadline = time.monotonic() + timeout_s
        session = requests.Session()
        waiting = list(ids)
        while waiting:
            assert time.monotonic() < deadline, f"{len(waiting)} of {len(ids)} jobs have not ended: {waiting[:5]}"
            try:
                found = session.get(f"{self.worker.url}/status/{waiting[0]}", timeout=10).json()
            except (requests.RequestException, ValueError):
                self.pause(0.05)
                continue
            if found.get("status") in TERMINAL:
                self.tally.ended[waiting.pop(0)] = found
            else:
                self.pause(0.05)


def faults(tally: Tally, worker: ApiWorker, jobs: int) -> list[str]:
    """What is not as it must be: every job completed, with its own picture, exactly once, and nothing left over."""
    found = [
        f"{job_id}: {end['status']} ({end['error']})"
        for job_id, end in tally.ended.items()
        if end["status"] != "completed"
    ]
    if len(tally.ended) != jobs:
        found.append(f"{len(tally.ended)} of {jobs} jobs ended")
    colors = Counter(
        sample_jobs.pixels(end["result"]["images"][0]).getpixel((0, 0))
        for end in tally.ended.values()
        if end["status"] == "completed" and len(end["result"]["images"]) == 1
    )
    if sum(colors.values()) != jobs or set(colors.values()) != {1}:
        found.append(f"{sum(colors.values())} single pictures, {len(colors)} different ones, of {jobs}")
    stats = worker.get("/stats").json()
    if (stats["total_jobs"], stats["completed_jobs"]) != (jobs, jobs):
        found.append(f"the worker counts {stats}")
    return found
