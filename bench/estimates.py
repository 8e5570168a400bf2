"""How far off the estimates of the remaining time are, over HTTP, for jobs that wait and for jobs that run.

A worker in HTTP API mode first runs a few jobs of three workflows, then gets a line of them in sizes it has never seen,
and is asked again and again about each. The error is the estimate's distance from what it took in the end, as a share
of it. Exit status 1 when the median is over the limit.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]

from support import sample_jobs  # noqa: E402
from support.api_worker import ApiWorker  # noqa: E402
from support.standin_process import StandinProcess  # noqa: E402

_LIMIT = 0.1
# What is nearly over has no share worth telling.
_LEAST_S = 0.5
_ASK_EVERY_S = 0.15


@dataclass(frozen=True)
class Guess:
    """What was told of a job at a moment (epoch seconds)."""

    job_id: str
    at: float
    status: str
    left_s: float | None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=24, help="jobs in the line that is estimated")
    arguments = parser.parse_args()
    dice = random.Random(4)
    with (
        StandinProcess() as standin,
        tempfile.TemporaryDirectory() as folder,
        ApiWorker(Path(folder), standin.url, {"LOG_LEVEL": "warning"}) as worker,
    ):
        print("ComfyUI: the CPU STAND-IN")
        for job_id in [_submit(worker, kind, 0.3 + 0.3 * number) for kind in range(3) for number in range(4)]:
            worker.ended(job_id)
        line = [_submit(worker, dice.randrange(3), round(dice.uniform(0.3, 2.5), 3)) for _ in range(arguments.jobs)]
        guesses = _asked(worker, line)
        ends = {job_id: _at(worker.get(f"/api/jobs/{job_id}/info").json()["completed_at"]) for job_id in line}
    errors = [_told(status, guesses, ends) for status in ("pending", "processing")]
    return 0 if max(errors) <= _LIMIT else 1


def _submit(worker: ApiWorker, kind: int, seconds: float) -> str:
    """One of three workflows; the second is twice as long, the third has more nodes than the sleep."""
    color = random.getrandbits(24)
    workflow = sample_jobs.slow(seconds * (2 if kind == 1 else 1), color)
    if kind == 1:
        workflow["2"]["inputs"]["steps"] = 4
    if kind == 2:
        workflow |= {
            str(9 + n): sample_jobs.node("ImageInvert", image=["1" if n == 0 else str(8 + n), 0]) for n in range(5)
        }
        workflow["2"]["inputs"]["image"] = ["13", 0]
    return worker.submit({"input": {"workflow": workflow}})


def _asked(worker: ApiWorker, line: list[str]) -> list[Guess]:
    guesses: list[Guess] = []
    left = set(line)
    while left:
        for job_id in [each for each in line if each in left]:
            info: dict[str, Any] = worker.get(f"/api/jobs/{job_id}/info").json()
            if info["completed_at"]:
                left.discard(job_id)
            else:
                guesses.append(Guess(job_id, time.time(), info["status"], info["remaining_seconds"]))
        time.sleep(_ASK_EVERY_S)
    return guesses


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _told(status: str, guesses: list[Guess], ends: dict[str, float]) -> float:
    judged = [(guess.left_s, ends[guess.job_id] - guess.at) for guess in guesses if guess.status == status]
    judged = [(left_s, true_s) for left_s, true_s in judged if true_s >= _LEAST_S]
    off = sorted(abs(left_s - true_s) for left_s, true_s in judged if left_s is not None)
    shares = sorted(abs(left_s - true_s) / true_s for left_s, true_s in judged if left_s is not None)
    median = statistics.median(shares)
    bias_s = statistics.median(left_s - true_s for left_s, true_s in judged if left_s is not None)
    print(
        f"{status:<11} {len(shares):>5} estimates, {len(judged) - len(shares)} without   "
        f"error: median {median:6.1%}, p95 {shares[int(len(shares) * 0.95)]:6.1%}   "
        f"{statistics.median(off):.2f} s, p95 {off[int(len(off) * 0.95)]:.2f} s, bias {bias_s:+.2f} s"
    )
    return median


if __name__ == "__main__":
    raise SystemExit(main())
