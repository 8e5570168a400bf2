"""Several stand-ins and a worker process over them, for drills: what each ComfyUI is doing is told by the worker."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from support import sample_jobs
from support.api_worker import ApiWorker
from support.standin_process import StandinProcess
from support.waiting import wait_for

# Quick to notice, quick to try again.
BRISK = {
    "COMFY_PROBE_INTERVAL_S": "0.2",
    "COMFY_PROBE_TIMEOUT_S": "0.5",
    "COMFY_BREAKER_OPEN_S": "0.5",
    "COMFY_CANCEL_GRACE_S": "2",
}


class PoolRig:
    """`comfy` are the stand-ins, in the order the worker was told of them."""

    def __init__(self, worker: ApiWorker, comfy: Sequence[StandinProcess]) -> None:
        self.worker = worker
        self.comfy = comfy

    def instances(self) -> dict[str, dict[str, Any]]:
        """What the worker says of each, by name."""
        found = self.worker.get("/admin/instances").json()["instances"]
        return {each["name"]: each for each in found}

    def told(self, standin: StandinProcess) -> dict[str, Any]:
        return self.instances()[name_of(standin)]

    def wait_status(self, standin: StandinProcess, status: str, timeout_s: float = 60) -> None:
        wait_for(lambda: self.told(standin)["status"] == status, f"{name_of(standin)} to be {status}", timeout_s)

    def wait_healthy(self) -> None:
        for standin in self.comfy:
            self.wait_status(standin, "healthy")

    def submit(self, count: int, seconds: float) -> list[str]:
        """So many jobs, each with a picture of its own."""
        workflows = [sample_jobs.slow(seconds, color=number + 1) for number in range(count)]
        return [self.worker.submit(sample_jobs.job(workflow)) for workflow in workflows]

    def ended(self, jobs: Sequence[str], timeout_s: float = 60) -> list[dict[str, Any]]:
        return [self.worker.ended(job, timeout_s) for job in jobs]

    def places(self, jobs: Sequence[str]) -> Counter[str]:
        """How many of the jobs each ComfyUI ran."""
        return Counter(self.worker.get(f"/api/jobs/{job}/status").json()["comfyui_instance"] for job in jobs)

    def await_running_on(self, standin: StandinProcess) -> None:
        wait_for(lambda: self.told(standin)["running"], f"a job to run on {name_of(standin)}")


def name_of(standin: StandinProcess) -> str:
    return f"127.0.0.1:{standin.port}"


def all_well(ends: Sequence[Mapping[str, Any]]) -> None:
    """Each job is completed with a picture no other one has: none was lost, none mixed up."""
    assert [end["error"] for end in ends if end["status"] != "completed"] == []
    pictures = [end["result"]["images"] for end in ends]
    assert all(len(images) == 1 for images in pictures)
    assert len({sample_jobs.pixels(images[0]).getpixel((0, 0)) for images in pictures}) == len(ends)


@contextlib.contextmanager
def pool_rig(
    folder: Path, count: int, environment: Mapping[str, str] | None = None, arguments: Sequence[Sequence[str]] = ()
) -> Iterator[PoolRig]:
    """`arguments` are those of each stand-in."""
    with contextlib.ExitStack() as stack:
        own = [*arguments, *([()] * (count - len(arguments)))]
        comfy = [stack.enter_context(StandinProcess(arguments=each)) for each in own]
        hosts = ",".join(standin.url for standin in comfy)
        worker = stack.enter_context(ApiWorker(folder, hosts, {**BRISK, **(environment or {})}))
        rig = PoolRig(worker, comfy)
        rig.wait_healthy()
        yield rig
