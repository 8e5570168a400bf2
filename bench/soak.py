"""Many jobs in a row through the HTTP API: memory, threads, file handles and disk of the worker stay flat.

The first fifth is warm-up; what is measured at its end is compared with the end. Retention is short, so that ended
jobs are removed as fast as new ones come. Exit status 1 when something grows beyond its limit.
"""

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]

import requests  # noqa: E402
from support import sample_jobs  # noqa: E402
from support.api_worker import ApiWorker  # noqa: E402
from support.standin_process import StandinProcess  # noqa: E402
from support.waiting import wait_for  # noqa: E402

_CLIENTS = 8
_STAGES = 10
_SETTINGS = {
    "LOG_LEVEL": "warning",
    "JOB_RETENTION_HOURS": str(10 / 3600),
    "JOB_CLEANUP_INTERVAL_S": "2",
}
_RETAINED_S = 10.0 + 2.0
# How much more of each there may be at the end than after the warm-up.
_LIMITS = {"memory_mb": 25.0, "threads": 3.0, "handles": 10.0, "disk_mb": 30.0}


@dataclass(frozen=True)
class Reading:
    """The worker at one moment."""

    memory_mb: float
    threads: float
    handles: float
    disk_mb: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    jobs = parser.parse_args().jobs
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        StandinProcess() as comfyui,
        ApiWorker(Path(folder), comfyui.url, _SETTINGS) as worker,
    ):
        wait_for(lambda: worker.get("/readyz").ok, "ComfyUI")
        print(f"{'jobs':>7}{'jobs/s':>9}{'memory MB':>11}{'threads':>9}{'handles':>9}{'disk MB':>9}")
        readings = [_stage(worker, Path(folder), number, jobs // _STAGES) for number in range(_STAGES)]
    first, last = readings[_STAGES // 5 - 1], readings[-1]
    grown = {name: getattr(last, name) - getattr(first, name) for name in _LIMITS}
    for name, limit in _LIMITS.items():
        print(f"{name}: {grown[name]:+.1f} since the warm-up, at most {limit:+.1f}")
    return int(any(grown[name] > limit for name, limit in _LIMITS.items()))


def _stage(worker: ApiWorker, folder: Path, number: int, jobs: int) -> Reading:
    numbers = iter(range(number * jobs, (number + 1) * jobs))
    lock = threading.Lock()
    failures: list[str] = []

    def client() -> None:
        session = requests.Session()
        while True:
            with lock:
                color = next(numbers, None)
            if color is None:
                return
            job = sample_jobs.job(sample_jobs.flat(color + 1, size=32))
            answer = session.post(f"{worker.url}/v2/soak/runsync", json=job, timeout=60).json()
            if answer["status"] != "COMPLETED":
                failures.append(str(answer)[:300])

    started = time.monotonic()
    clients = [threading.Thread(target=client) for _ in range(_CLIENTS)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    rate = jobs / (time.monotonic() - started)
    if failures:
        raise SystemExit(f"{len(failures)} jobs failed, the first: {failures[0]}")
    threading.Event().wait(_RETAINED_S)  # until the ended jobs are removed
    reading = _reading(worker.process.pid, folder)
    print(
        f"{(number + 1) * jobs:>7}{rate:>9.1f}{reading.memory_mb:>11.1f}{reading.threads:>9.0f}"
        f"{reading.handles:>9.0f}{reading.disk_mb:>9.1f}",
        flush=True,
    )
    return reading


def _reading(pid: int, folder: Path) -> Reading:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Reading(
        memory_mb=int(status["VmRSS"].split()[0]) / 1000,
        threads=float(status["Threads"]),
        handles=float(sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())),
        disk_mb=disk / 1e6,
    )


if __name__ == "__main__":
    raise SystemExit(main())
