"""A RunPod serverless endpoint as a Target: it runs this same worker (or worker-comfyui) with GPUs of its own."""

import json
import random
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import (
    ComfyBusy,
    ComfyProtocolError,
    ComfyUnreachable,
    Detail,
    ExecutionInterrupted,
    InputTooLarge,
    JobTimedOut,
    OutputUnavailable,
    PromptLost,
    WorkerError,
    WorkerStopping,
)
from ..ids import PromptId
from ..jobs.cancel import CancelToken
from ..jobs.events import Emit, PromptAssigned, StageFinished
from ..jobs.ports import RunOutcome, RunRequest
from ..logs import get_logger
from .attach import Share, attached, detach
from .collect import Collector
from .failures import text_of
from .narration import Narrator
from .patience import Patience, rest_s
from .result import RemoteResult, read, seconds
from .room import Room
from .runpod_api import BODY_BYTES, RunPodApi

_RUNNING = frozenset({"IN_PROGRESS", "RUNNING"})
_ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"})
_FIRST_LOOK_S = 0.05
_SLOWER_BY = 1.4
_LONGEST_LOOK_S = 3.0
# RunPod refuses shorter limits.
_LEAST_LIMIT_S = 5.0
# With these the job goes back into the line, and whoever claims it next asks what became of it.
_FOLLOWED_LATER = (ComfyUnreachable, ComfyBusy, PromptLost)
# What a file's entry takes in the request besides its content, its name and its URL.
_ENTRY_BYTES = 3000
_NO_RESULT = (
    "The remote worker's result did not arrive: RunPod drops results over its limit of 10 MB. Configure S3 on that "
    "endpoint (BUCKET_ENDPOINT_URL), so that its outputs go there."
)

log = get_logger()


class RunPodTarget:
    """Any number of threads may run jobs. `overtime_s`: how long the endpoint has to enforce a job's limit itself."""

    def __init__(
        self,
        api: RunPodApi,
        room: Room,
        collector: Collector,
        share: Share | None = None,
        *,
        body_bytes: int = BODY_BYTES,
        overtime_s: float = 15.0,
    ) -> None:
        self._api = api
        self._room = room
        self._collector = collector
        self._share = share
        self._body_bytes = body_bytes
        self._overtime_s = overtime_s

    def run(self, request: RunRequest, workdir: Path, emit: Emit, cancel: CancelToken) -> RunOutcome:
        """Run one job to its outputs in `workdir`. Raises a WorkerError when nothing was produced."""
        journey = _Journey(self._api, self._room, request, emit, cancel, self._overtime_s)
        try:
            with self._room.occupied():
                status = journey.earlier() or journey.submitted(self._body)
                result = _result_of(status)
                files, missing = self._collected(result, workdir, emit, cancel)
        except WorkerError as error:
            if not journey.goes_on(error):
                self._detach(request)
            if cancel.is_set():
                raise cancel.reason from error
            self._room.note_run(error)
            if isinstance(error, ComfyBusy):
                self._room.rest(rest_s(error))
            raise
        self._detach(request)
        self._room.note_run(result.failure)
        facts = {"prompt_id": journey.remote_id, **result.facts, "instance": self._room.name} if request.facts else {}
        return RunOutcome(files, result.texts, (*result.warnings, *missing), result.failure, facts)

    def _collected(self, result: RemoteResult, workdir: Path, emit: Emit, cancel: CancelToken) -> Any:
        started = time.monotonic()
        try:
            files, missing = self._collector.files(result.files, workdir, emit, cancel)
        except OutputUnavailable as error:
            if result.failure is None:
                raise
            result.failure.details.append(Detail(code="output_missing", message=error.message))
            raise result.failure from error
        finally:
            emit(StageFinished("download", round(time.monotonic() - started, 4)))
        if result.failure is not None and not (files or result.texts):
            raise result.failure
        return files, missing

    def _body(self, request: RunRequest) -> Mapping[str, Any]:
        body = _bare_body(request)
        room_bytes = self._room_bytes(request, body)
        if room_bytes < 0:
            message = f"The workflow is too large for the remote target, which takes {self._body_bytes:,} bytes."
            raise InputTooLarge(message, [Detail(field="workflow", code="too_large", message=message)])
        sources = attached(request.job_id, request.files, room_bytes, self._share)
        body["input"]["images"] = [{"name": file.name, "image": source} for file, source in sources]
        return body

    def _room_bytes(self, request: RunRequest, body: Mapping[str, Any]) -> int:
        return self._body_bytes - len(json.dumps(body)) - _ENTRY_BYTES * len(request.files)

    def _detach(self, request: RunRequest) -> None:
        """The endpoint has read the files, or never will."""
        if self._share and request.files:
            detach(request.job_id, request.files, self._room_bytes(request, _bare_body(request)), self._share)


class _Journey:
    """One job on the endpoint, from its submission to its end."""

    def __init__(
        self, api: RunPodApi, room: Room, request: RunRequest, emit: Emit, cancel: CancelToken, overtime_s: float
    ) -> None:
        self._api = api
        self._room = room
        self._request = request
        self._emit = emit
        self._patience = Patience(cancel)
        self._overtime_s = overtime_s
        self._narrator = Narrator(request.workflow, emit)
        self._began_at: float | None = None
        self.remote_id: PromptId | None = None

    def earlier(self) -> Mapping[str, Any] | None:
        """The end of the job that an earlier worker has submitted; None when it is to be run (again)."""
        resume = self._request.resume
        if resume is None or resume.instance != self._room.name:
            return None
        try:
            status = self._api.status(resume.prompt_id, self._patience)
        except PromptLost:
            log.info("The target no longer has the job of an earlier run, running it again", target=self._room.name)
            return None
        if status["status"] == "CANCELLED" or (status["status"] == "FAILED" and _may_repeat(status)):
            log.info("The job of an earlier run has failed on the target, running it again", target=self._room.name)
            return None
        return self._followed(resume.prompt_id, is_known=True)

    def submitted(self, body_of: Callable[[RunRequest], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Submit the job and follow it to its end."""
        started = time.monotonic()
        remote_id = self._api.run(body_of(self._request), uuid.uuid4().hex, self._patience)
        self._finish_stage("upload", time.monotonic() - started)
        return self._followed(remote_id, is_known=False)

    def _followed(self, remote_id: PromptId, *, is_known: bool) -> Mapping[str, Any]:
        self.remote_id = remote_id
        started = time.monotonic()
        try:
            self._emit(PromptAssigned(remote_id, self._room.name))
            self._narrator.queued()
        except BaseException:
            if not is_known:  # and never will be
                self._api.cancel(remote_id)
            raise
        try:
            status = self._ended(remote_id)
        except BaseException as error:
            self._left(remote_id, error)
            raise
        self._finish_stages(status, started)
        return status

    def _ended(self, remote_id: PromptId) -> Mapping[str, Any]:
        pause_s = _FIRST_LOOK_S
        while True:
            status = self._api.status(remote_id, self._patience)
            word = status["status"]
            if word in _ENDED:
                return status
            if word in _RUNNING:
                if self._began_at is None:
                    self._began_at, pause_s = time.monotonic(), _FIRST_LOOK_S
                progress = status.get("output")
                self._narrator.advanced(progress if isinstance(progress, dict) else {})
                self._check_time()
            self._patience.pause(pause_s * random.uniform(0.8, 1.2))  # noqa: S311
            pause_s = min(pause_s * _SLOWER_BY, _LONGEST_LOOK_S)

    def _check_time(self) -> None:
        limit_s = self._request.timeout_s
        if limit_s is None or self._began_at is None:
            return
        if time.monotonic() - self._began_at > limit_s + self._overtime_s:
            raise JobTimedOut(f"The job did not finish within its limit of {limit_s:g} s and was stopped.")

    def _left(self, remote_id: PromptId, error: BaseException) -> None:
        """Stop what nobody waits for any more. What another worker follows, or will follow, goes on."""
        if not self.goes_on(error) and not self._api.cancel(remote_id):
            log.warning("The target was not told to stop the job", target=self._room.name)

    def goes_on(self, error: BaseException) -> bool:
        """Whether the job may go on there after this end of the run, for somebody to follow it."""
        cancel = self._patience.cancel
        return isinstance(cancel.reason if cancel.is_set() else error, (WorkerStopping, *_FOLLOWED_LATER))

    def _finish_stages(self, status: Mapping[str, Any], started: float) -> None:
        """How long it waited and how long it executed, as the endpoint tells, or as it looked from here."""
        if status["status"] == "COMPLETED":
            self._narrator.done()
        total_s = time.monotonic() - started
        output = status.get("output")
        told = output.get("timings_s") if isinstance(output, dict) else None
        told_s = seconds(told.get("execute")) if isinstance(told, dict) else None
        if told_s is None:
            told_s = seconds(status.get("executionTime"), per_second=1000)
        seen_s = time.monotonic() - self._began_at if self._began_at is not None else total_s
        execute_s = min(total_s, seen_s if told_s is None else told_s)
        self._finish_stage("wait", total_s - execute_s)
        self._finish_stage("execute", execute_s)

    def _finish_stage(self, name: str, seconds: float) -> None:
        self._emit(StageFinished(name, round(seconds, 4)))


def _bare_body(request: RunRequest) -> dict[str, Any]:
    """The request without its files."""
    body: dict[str, Any] = {"input": {"workflow": request.workflow, "images": [], **_options(request)}}
    if request.timeout_s is not None:
        body["policy"] = {"executionTimeout": round(max(request.timeout_s, _LEAST_LIMIT_S) * 1000)}
    return body


def _options(request: RunRequest) -> dict[str, Any]:
    """The fields of the input besides the workflow and its files. What becomes of outputs is decided here."""
    options = {
        "force": request.force,
        "include_temp": request.include_temp,
        "receipt": request.facts,
        "extra_pnginfo": dict(request.extra_pnginfo),
        "comfy_org_api_key": request.comfy_org_api_key,
        "timeout_s": request.timeout_s,
    }
    return {"metadata": "keep", "timings": True, **{name: value for name, value in options.items() if value}}


def _result_of(status: Mapping[str, Any]) -> RemoteResult:
    """What an ended job has made. Raises what it ended with when that was no failure of the workflow."""
    word, output = status["status"], status.get("output")
    if word == "CANCELLED":
        raise ExecutionInterrupted("The job was cancelled on the remote target, not by its caller.")
    if word == "COMPLETED" and output is None:
        raise OutputUnavailable(_NO_RESULT)
    if word == "COMPLETED" and not isinstance(output, dict):
        raise ComfyProtocolError("The remote target answered with something else than a result of this worker.")
    output = output if isinstance(output, dict) else {}
    if word == "TIMED_OUT":
        said = status.get("error")
        raise JobTimedOut(text_of(said) if said else "The job took longer than the remote target lets it.")
    # FAILED always has an error, whatever else it says.
    return read(output, status.get("error") or output.get("error") or ("" if word == "FAILED" else None))


def _may_repeat(status: Mapping[str, Any]) -> bool:
    failure = _result_of(status).failure
    return failure is not None and failure.retryable
