"""A worker in the test process around a stand-in; counts what a run leaves behind: threads, sockets, files."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests
from support import sample_jobs
from support.standin_process import StandinProcess
from support.waiting import wait_for

from api import wiring
from api.jobs.cancel import CancelToken
from api.settings import Settings

Result = dict[str, Any]


class Rig:
    """A stand-in and a worker around it."""

    def __init__(self, standin: StandinProcess, services: wiring.Services) -> None:
        self.standin = standin
        self._services = services

    def run(
        self,
        workflow: sample_jobs.Workflow,
        within_s: float,
        *,
        job_id: str | None = None,
        cancel: CancelToken | None = None,
        **options: Any,
    ) -> Result:
        """The result of one job, which must not take longer than `within_s`."""
        job = sample_jobs.job(workflow, **options)
        started = time.monotonic()
        result = self._services.handler({**job, "id": job_id} if job_id else job, cancel=cancel)
        elapsed = time.monotonic() - started
        assert elapsed < within_s, f"took {elapsed:.1f} s: {result}"
        return result

    def run_uploaded(self, within_s: float) -> Result:
        """A job that uses every endpoint: upload, prompt, queue, history, view."""
        return self.run(sample_jobs.inverted(), within_s, images={"input.png": sample_jobs.png((200, 30, 60))})

    def fault(self, **faults: Any) -> None:
        for name, value in faults.items():
            self.standin.set_fault(name, value)

    def busy(self) -> bool:
        """Whether ComfyUI has anything to do."""
        answer = requests.get(f"{self.standin.url}/prompt", timeout=10).json()
        return answer["exec_info"]["queue_remaining"] > 0


@contextlib.contextmanager
def rigged(standin: StandinProcess, tmp_path: Path, **settings: Any) -> Iterator[Rig]:
    """A rig with short patience; at its end nothing may be left."""
    with nothing_left_behind(), unchecked_rig(standin, tmp_path, **settings) as rig:
        yield rig


@contextlib.contextmanager
def nothing_left_behind(*, kept: frozenset[str] = frozenset()) -> Iterator[None]:
    """Fails when more threads or open files and sockets are there than before; kinds in `kept` are not counted."""
    before = open_things()
    yield

    def surplus() -> dict[str, int]:
        now = open_things()
        return {kind: count for kind, count in now.items() if count > before.get(kind, 0) and kind not in kept}

    wait_for(lambda: not surplus(), f"an end of {surplus()}, threads {threading.enumerate()}", 10)


@contextlib.contextmanager
def unchecked_rig(standin: StandinProcess, tmp_path: Path, **settings: Any) -> Iterator[Rig]:
    """A rig whose threads and sockets the caller counts; its scratch folder must be empty at the end."""
    quick: dict[str, Any] = {
        "comfy_host": standin.url,
        "comfy_run_dir": tmp_path,
        "comfy_root": tmp_path / "no-comfyui-here",
        "work_dir": tmp_path / "work",
        "comfy_unreachable_grace_s": 3,
        "comfy_stall_s": 1,
        "comfy_cancel_grace_s": 2,
        "comfy_start_timeout_s": 5,
        "comfy_read_timeout_s": 2,
        "bucket_timeout_s": 1,
        "bucket_retry_s": 2,
        "websocket_reconnect_delay_s": 0.2,
    }
    services = wiring.build(Settings(**{**quick, **settings}))
    try:
        yield Rig(standin, services)
    finally:
        services.close()
    assert _files_below(services.settings.work_dir) == []


@contextlib.contextmanager
def supervised(standin: StandinProcess, faults: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Starts the stand-in again whenever it dies, as start.sh does."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            if not standin.is_running:
                standin.restart(faults=faults)

    thread = threading.Thread(target=watch, name="supervisor")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def assert_inverted(result: Result) -> None:
    """The right result of `run_uploaded`."""
    assert "error" not in result, result
    (image,) = result["images"]
    assert sample_jobs.shows(image, (55, 225, 195))


def open_things() -> dict[str, int]:
    """How many of each kind; pipes belong to the processes the tests themselves start."""
    kinds: dict[str, int] = {}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(entry.readlink())
            kind = target if target.startswith("/") else target.partition(":")[0]
            kinds[kind] = kinds.get(kind, 0) + (kind != "pipe" and not kind.startswith("/proc"))
    kinds["threads"] = sum(not _of_the_test(thread) for thread in threading.enumerate())
    return kinds


def _of_the_test(thread: threading.Thread) -> bool:
    # Readers of the stand-in's output, threads of test servers.
    return "(_read)" in thread.name or "(process_request_thread)" in thread.name


def _files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() or path.name.startswith("job-")]
