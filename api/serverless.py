"""RunPod serverless: the official SDK's loop around the one JobHandler. Facts about the SDK are those of 1.12.0.

A plain `def` handler would block the SDK's event loop: no stop signal is read and pooled sockets go stale, which
loses results. So jobs run in threads and only waiting happens on the loop.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from .errors import DeliveryFailed, InternalError, WorkerError, WorkerStopping
from .jobs.cancel import CancelToken
from .jobs.events import Emit, JobEvent
from .jobs.progress import LatestProgress
from .jobs.result import failure
from .logs import get_logger
from .slots import Slots

log = get_logger()

Job = dict[str, Any]
Result = dict[str, Any]

# RunPod refuses larger bodies with 400 and ends the job COMPLETED without output (its limits of 2026-08).
_RUN_LIMIT_BYTES = 10_000_000
_RUNSYNC_LIMIT_BYTES = 20_000_000
# Room for the SDK's own envelope around our result.
_ENVELOPE_BYTES = 4096
_PROGRESS_SETTLE_S = 3.0


def _kinds(root: type[WorkerError]) -> Iterator[type[WorkerError]]:
    yield root
    for child in root.__subclasses__():
        yield from _kinds(child)


# A result carries the code, no longer the error.
_FRESH_WORKER_CODES = frozenset(kind.code for kind in _kinds(WorkerError) if kind.fresh_worker)


class Core(Protocol):
    """The part of JobHandler that this adapter calls."""

    def __call__(self, job: object, emit: Emit, cancel: CancelToken, inline_limit_bytes: int | None) -> Result:
        """Run one job to its result; never raises for the job's own fault."""


class ServerlessAdapter:
    """`handle` is what the SDK calls: one coroutine per job. `concurrency` None adapts to how long jobs execute."""

    def __init__(
        self,
        core: Core,
        *,
        concurrency: int | None,
        progress_interval_s: float,
        refresh_worker: bool,
        inline_limit_bytes: int | None,
        shutdown_grace_s: float,
    ) -> None:
        self._core = core
        self._slots = Slots(concurrency)
        self._progress_interval_s = progress_interval_s
        self._refresh_worker = refresh_worker
        self._inline_limit_bytes = inline_limit_bytes
        self._shutdown_grace_s = shutdown_grace_s
        self._threads = ThreadPoolExecutor(self._slots.most, thread_name_prefix="job")
        self._running: set[CancelToken] = set()
        self._signals_chained = False

    async def handle(self, job: Job) -> Result:
        """Run one job. A cancel of this coroutine (the platform's stop) cancels the prompt and frees the GPU."""
        limit = self._limit_for(job)
        token = CancelToken()
        latest = LatestProgress()
        self._running.add(token)
        done = asyncio.Event()
        reporter = asyncio.create_task(self._report(job, latest, done))

        def emit(event: JobEvent) -> None:
            self._slots.note(event)
            latest.emit(event)

        future = asyncio.wrap_future(self._submit(job, emit, token, limit))
        try:
            result = await asyncio.shield(future)
        except asyncio.CancelledError:
            log.info("Job stopped by the platform", job_id=job.get("id"))
            token.cancel()
            await _undisturbed(future)
            raise
        finally:
            self._running.discard(token)
            done.set()
            await _settle(reporter)
        return self._finish(result, limit)

    def concurrency(self, _current: int) -> int:
        """The SDK's `concurrency_modifier`: called before every poll, in the main thread, once its signals are set."""
        if not self._signals_chained:
            self._signals_chained = True
            self._chain_signal(signal.SIGTERM)
            self._chain_signal(signal.SIGINT)
        return self._slots.count

    def _submit(self, job: Job, emit: Emit, token: CancelToken, limit: int | None) -> "Future[Result]":
        return self._threads.submit(self._core, job, emit, token, limit)

    def _limit_for(self, job: Job) -> int | None:
        if self._inline_limit_bytes is not None:
            return self._inline_limit_bytes
        if not _on_platform():
            return None
        sync = str(job.get("id", "")).startswith("sync-")
        return (_RUNSYNC_LIMIT_BYTES if sync else _RUN_LIMIT_BYTES) - _ENVELOPE_BYTES

    def _finish(self, result: Result, limit: int | None) -> Result:
        try:
            size = _encoded_size(result)
            if limit is not None and size > limit and result.pop("receipt", None):
                result.setdefault("errors", []).append("The receipt was left out: with it the result is too large.")
                size = _encoded_size(result)
        except (TypeError, ValueError) as error:
            # The SDK would post nothing at all and the job would hang until the platform gives up.
            log.error("Result is not JSON", error=str(error))
            result, size = failure(InternalError("The result could not be encoded as JSON.")), 0
        if limit is not None and size > limit:
            result = failure(_too_large(size, limit))
        if self._refresh_worker or result.get("code") in _FRESH_WORKER_CODES:
            result["refresh_worker"] = True
        return result

    async def _report(self, job: Job, latest: LatestProgress, done: asyncio.Event) -> None:
        """Send the newest progress, one update at a time, until the job is done.

        The SDK's public `progress_update` starts a thread per call: updates overtake each other and the final
        result. Its inner coroutine is awaited here instead.
        """
        if not _on_platform() or self._progress_interval_s <= 0:
            return
        from runpod.http_client import AsyncClientSession
        from runpod.serverless.modules.rp_progress import _async_progress_update

        async with AsyncClientSession() as session:
            while not await _happens_within(done, self._progress_interval_s):
                update = latest.take()
                if update is not None:
                    await _async_progress_update(session, job, update)

    def _chain_signal(self, number: signal.Signals) -> None:
        """After a signal the SDK lets running jobs finish; give them a limit, then hand them back as errors."""
        previous = signal.getsignal(number)

        def on_signal(signum: int, frame: types.FrameType | None) -> None:
            timer = threading.Timer(self._shutdown_grace_s, self._hand_back)
            timer.daemon = True
            timer.start()
            if callable(previous):
                previous(signum, frame)

        signal.signal(number, on_signal)

    def _hand_back(self) -> None:
        error = WorkerStopping(
            f"The worker is being stopped and the job did not finish within {self._shutdown_grace_s:g} s. "
            "Nothing is wrong with the job: submit it again."
        )
        for token in list(self._running):
            token.cancel(error)


def run(adapter: ServerlessAdapter, get_ready: Callable[[], None]) -> None:
    """Start the SDK's loop, its local API (`--rp_serve_api`) or its one local job, as its arguments say.

    On the platform `get_ready` (ComfyUI is up and warm) runs beside the SDK's import, and no job is taken before.
    """
    waiting = threading.Thread(target=get_ready, name="get-ready", daemon=True)
    if _on_platform():
        waiting.start()
    runpod = import_sdk()
    if _on_platform():
        waiting.join()
    runpod.serverless.start({"handler": adapter.handle, "concurrency_modifier": adapter.concurrency})


def import_sdk() -> Any:
    """Import `runpod` without the second it spends on naming the CPU (1.1 s of 1.4 s is one sleep in py-cpuinfo)."""
    if "cpuinfo" not in sys.modules:
        stub = types.ModuleType("cpuinfo")
        stub.get_cpu_info = dict  # type: ignore[attr-defined]
        sys.modules["cpuinfo"] = stub
    import runpod

    return runpod


def prepare_environment(*, system_checks: bool, log_level: str) -> None:
    """Set what the SDK reads at import. Operators' own values win."""
    os.environ.setdefault("RUNPOD_LOG_LEVEL", "WARN" if log_level == "warning" else log_level.upper())
    if not system_checks:
        # Its checks need a route to 8.8.8.8, and import torch into this process, or the worker exits with 1.
        os.environ.setdefault("RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", "true")
        os.environ.setdefault("RUNPOD_SKIP_GPU_CHECK", "true")


async def _undisturbed(future: "asyncio.Future[Result]") -> None:
    """Until the core is done: the slot is given back when the GPU is free again, whatever else is cancelled."""
    while not future.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([future])


async def _happens_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _settle(reporter: "asyncio.Task[None]") -> None:
    """Let an update that is on its way arrive before the final result, but never wait long for it."""
    _done, pending = await asyncio.wait([reporter], timeout=_PROGRESS_SETTLE_S)
    for task in pending:
        task.cancel()
    await asyncio.gather(reporter, return_exceptions=True)


def _encoded_size(result: Result) -> int:
    return len(json.dumps(result, allow_nan=False, ensure_ascii=False).encode())


def _too_large(size_bytes: int, limit_bytes: int) -> DeliveryFailed:
    return DeliveryFailed(
        f"The result is {size_bytes:,} bytes and RunPod takes at most {limit_bytes:,}. Configure S3 "
        "(BUCKET_ENDPOINT_URL) or attach a network volume, and the outputs go there instead."
    )


def _on_platform() -> bool:
    return "RUNPOD_WEBHOOK_GET_JOB" in os.environ
