"""The RunPod adapter without the SDK: what it hands to the handler, and what becomes of the handler's result."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from api import errors
from api.jobs.cancel import CancelToken
from api.jobs.events import Emit, StageFinished
from api.serverless import ServerlessAdapter

Result = dict[str, Any]


class Core:
    """Stands where the JobHandler does; answers what it is told."""

    def __init__(self, result: Result | None = None, do: Callable[[Emit, CancelToken], Result] | None = None) -> None:
        self.limits: list[int | None] = []
        self._do = do or (lambda emit, cancel: dict(result or {"images": []}))

    def __call__(self, job: object, emit: Emit, cancel: CancelToken, inline_limit_bytes: int | None) -> Result:
        self.limits.append(inline_limit_bytes)
        return self._do(emit, cancel)


def adapter(core: Core, **options: Any) -> ServerlessAdapter:
    values = {
        "concurrency": None,
        "progress_interval_s": 0.0,
        "refresh_worker": False,
        "inline_limit_bytes": None,
        "shutdown_grace_s": 1.0,
    }
    return ServerlessAdapter(core, **{**values, **options})


def handled(core: Core, job_id: str = "1", **options: Any) -> Result:
    return asyncio.run(adapter(core, **options).handle({"id": job_id, "input": {}}))


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_WEBHOOK_GET_JOB", "http://platform.test/job-take/$ID")


def everything(root: type[errors.WorkerError] = errors.WorkerError) -> Iterator[type[errors.WorkerError]]:
    yield root
    for child in root.__subclasses__():
        yield from everything(child)


# --- limits ---


def test_no_limit_where_nothing_has_one() -> None:
    core = Core({"images": ["x" * 30_000_000]})
    assert "error" not in handled(core)
    assert core.limits == [None]


@pytest.mark.parametrize(("job_id", "taken_bytes"), [("1", 10_000_000), ("sync-1", 20_000_000)])
@pytest.mark.usefixtures("platform")
def test_the_platforms_limits_with_room_for_its_envelope(job_id: str, taken_bytes: int) -> None:
    core = Core({"images": ["x" * (taken_bytes - 5_000)]})
    assert "error" not in handled(core, job_id)
    (limit,) = core.limits
    assert limit is not None and taken_bytes - 10_000 < limit < taken_bytes
    over = handled(Core({"images": ["x" * taken_bytes]}), job_id)
    assert (over["code"], over["retryable"]) == ("DELIVERY_FAILED", True)
    assert "BUCKET_ENDPOINT_URL" in over["error"]


def test_a_limit_that_is_set_holds_everywhere() -> None:
    core = Core({"images": ["x" * 2000]})
    assert handled(core, inline_limit_bytes=1000)["code"] == "DELIVERY_FAILED"
    assert core.limits == [1000]


def test_the_limit_counts_bytes_and_not_letters() -> None:
    assert handled(Core({"images": ["ü" * 600]}), inline_limit_bytes=1000)["code"] == "DELIVERY_FAILED"


def test_a_receipt_is_given_up_before_the_outputs_are() -> None:
    result = handled(Core({"images": ["x" * 500], "receipt": {"x": "y" * 1000}}), inline_limit_bytes=1000)
    assert result["images"] == ["x" * 500]
    assert "receipt" not in result
    assert "receipt" in result["errors"][0]


# --- the envelope ---


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes", "half a pair: \ud800"])
def test_a_result_that_is_no_json_is_still_answered(value: Any) -> None:
    result = handled(Core({"images": [value]}))
    assert result["code"] == "INTERNAL_ERROR"
    assert "images" not in result


def test_a_result_passes_as_it_is() -> None:
    result = {"images": [{"data": "ü😀"}], "errors": ["x"], "status": "y"}
    assert handled(Core(result)) == result


def test_a_stop_cancels_the_job_and_waits_for_the_gpu() -> None:
    began, cancelled, ended = threading.Event(), threading.Event(), threading.Event()

    def run(emit: Emit, cancel: CancelToken) -> Result:
        cancel.on_cancel(cancelled.set)
        began.set()
        assert cancelled.wait(10)
        ended.set()
        return {}

    async def stopped() -> None:
        task = asyncio.create_task(adapter(Core(do=run)).handle({"id": "1"}))
        await asyncio.to_thread(began.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stopped())
    assert ended.is_set()


# --- fresh workers ---


@pytest.mark.parametrize("kind", list(everything()), ids=lambda kind: kind.code)
def test_a_fresh_worker_is_asked_for_by_the_errors_that_say_so(kind: type[errors.WorkerError]) -> None:
    result = handled(Core({"error": "…", "code": kind.code}))
    assert ("refresh_worker" in result) == kind.fresh_worker


def test_two_errors_ask_for_a_fresh_worker() -> None:
    assert {kind.code for kind in everything() if kind.fresh_worker} == {"CUDA_FAULT", "COMFY_NOT_STARTED"}


@pytest.mark.parametrize("result", [{"images": []}, {"error": "…", "code": "INVALID_INPUT"}])
def test_refresh_worker_asks_after_every_job(result: Result) -> None:
    assert handled(Core(result), refresh_worker=True)["refresh_worker"] is True


# --- concurrency ---


@pytest.fixture
def signals() -> Iterator[None]:
    """Put the handlers back that the adapter chains itself to."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_short_jobs_raise_the_concurrency_where_it_is_not_set() -> None:
    def short(emit: Emit, cancel: CancelToken) -> Result:
        emit(StageFinished("execute", 0.1))
        return {"images": []}

    async def counts(concurrency: int | None) -> list[int]:
        worker = adapter(Core(do=short), concurrency=concurrency)
        before = worker.concurrency(1)
        for number in range(4):
            await worker.handle({"id": str(number)})
        return [before, worker.concurrency(before)]

    assert asyncio.run(counts(None)) == [2, 4]
    assert asyncio.run(counts(2)) == [2, 2]
