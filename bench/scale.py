"""What several ComfyUIs give: throughput with 1, 2, 4 and 8, idle time while jobs wait, and model loads.

ComfyUIs are CPU stand-ins whose node sleeps, so the processor is not the limit. Three limits: N of them do at least
0.95 × N times what one does; none is idle for more than 3 % of the time in which jobs wait; with two models and jobs
that ask for them by turns, each of two ComfyUIs loads a model once. Busy and idle are told by their own time stamps.
Exit status 1 when a limit is missed.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]

from support import sample_jobs  # noqa: E402
from support.api_worker import ApiWorker  # noqa: E402
from support.standin_process import StandinProcess  # noqa: E402
from support.waiting import wait_for  # noqa: E402
from support.wire_tap import WireTap  # noqa: E402

_LEAST_SHARE = 0.95
_MOST_IDLE = 0.03
_MODELS = ("a.safetensors", "b.safetensors")
Spans = Sequence[tuple[float, float]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instances", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=2.0, help="time a job executes")
    parser.add_argument("--jobs", type=int, default=12, help="jobs for each ComfyUI")
    arguments = parser.parse_args()
    print(f"ComfyUIs: CPU STAND-INS; jobs of {arguments.seconds:g} s, {arguments.jobs} for each of them")
    rows: list[Row] = []
    good = True
    for count in arguments.instances:
        rows.append(_measure(count, arguments.jobs * count, arguments.seconds))
        good &= rows[-1].told(rows[0])
    return 0 if _affinity() and good else 1


@dataclass(frozen=True)
class Row:
    """`per_s`: jobs done per second, from the first execution's start to the last one's end."""

    instances: int
    per_s: float
    idle: float
    execute_s: float

    def told(self, one: "Row") -> bool:
        """Print it; whether it is within the limits."""
        share = self.per_s / one.per_s * one.instances / self.instances
        good = share >= _LEAST_SHARE and self.idle <= _MOST_IDLE
        rate = f"{self.per_s:6.2f} jobs/s = {share:.3f} × {self.instances}"
        busy = f"idle {self.idle:.1%}, {self.execute_s:.3f} s each"
        print(f"{self.instances} ComfyUIs: {rate}   {busy}   {'ok' if good else 'MISSED'}", flush=True)
        return good


def _measure(count: int, jobs: int, seconds: float) -> Row:
    with ExitStack() as stack:
        taps = [stack.enter_context(WireTap(stack.enter_context(StandinProcess()).url)) for _ in range(count)]
        worker = _worker(stack, [tap.url for tap in taps])
        workflows = [sample_jobs.slow(seconds, color=number + 1) for number in range(jobs)]
        _run(worker, workflows)
        spans = [_spans(tap) for tap in taps]
    began = min(span[0][0] for span in spans)
    ended = max(span[-1][1] for span in spans)
    # From here on nothing waits: some have to be done before others.
    line_empty = max(span[-1][0] for span in spans)
    idle = max(_idle(span, began, line_empty) for span in spans)
    executed = [end - start for span in spans for start, end in span]
    return Row(count, jobs / (ended - began), idle, sum(executed) / len(executed))


def _worker(stack: ExitStack, urls: Sequence[str]) -> ApiWorker:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scale-")))
    worker = stack.enter_context(ApiWorker(folder, ",".join(urls), {"LOG_LEVEL": "warning"}))
    wait_for(lambda: worker.get("/health").json()["status"] == "healthy", "all ComfyUIs", timeout_s=60)
    return worker


def _run(worker: ApiWorker, workflows: Sequence[Mapping[str, Any]]) -> None:
    worker.post("/queue/pause")
    jobs = [worker.submit(sample_jobs.job(dict(workflow))) for workflow in workflows]
    worker.post("/queue/resume")
    while (waiting := worker.get("/stats").json())["completed_jobs"] < len(jobs):
        if waiting["failed_jobs"]:
            raise SystemExit(f"Jobs have failed: {waiting}")
        time.sleep(0.5)  # each look costs time that is being measured


def _spans(tap: WireTap) -> list[tuple[float, float]]:
    """(start, end) of each prompt of a job, in seconds, by ComfyUI's clock; canaries come before them."""
    stamps: dict[str, dict[str, float]] = {}
    for event in (*tap.events("execution_start"), *tap.events("execution_success")):
        stamps.setdefault(event.prompt_id, {})[event.name] = event.stamp_ms / 1e3
    found = sorted((each["execution_start"], each["execution_success"]) for each in stamps.values())
    return found[1:] if found[0][1] - found[0][0] < 0.1 else found


def _idle(spans: Spans, began: float, until: float) -> float:
    """Share of the time between the two in which it ran nothing."""
    busy = sum(min(end, until) - start for start, end in spans if start < until)
    return max(0.0, 1 - busy / (until - began)) if until > began else 0.0


def _affinity() -> bool:
    with ExitStack() as stack:
        offered = [argument for model in _MODELS for argument in ("--model", model)]
        standins = [stack.enter_context(StandinProcess(arguments=offered)) for _ in range(2)]
        worker = _worker(stack, [standin.url for standin in standins])
        _run(worker, [_modelled(model, number) for number, model in enumerate(_MODELS * 15)])
        loads = [_loads(standin) for standin in standins]
    good = all(sum(each.values()) <= 1 for each in loads)
    told = "; ".join(", ".join(f"{model} {count}×" for model, count in each.items()) for each in loads)
    print(f"30 jobs, two models by turns, 2 ComfyUIs: loaded {told}   {'ok' if good else 'MISSED'}")
    return good


def _loads(standin: StandinProcess) -> Counter[str]:
    return Counter(line.split()[-1] for line in standin.log.splitlines() if "Requested to load" in line)


def _modelled(model: str, number: int) -> Mapping[str, Any]:
    workflow = sample_jobs.slow(0.3, color=number + 1)
    workflow["4"] = sample_jobs.node("StandinModel", image=["2", 0], model=model, load_s=2.0)
    workflow["3"]["inputs"]["images"] = ["4", 0]
    return workflow


if __name__ == "__main__":
    raise SystemExit(main())
