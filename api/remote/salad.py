"""A SaladTechnologies comfyui-api as a Target. It tells nothing of a job before its end, and knows none afterwards."""

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..comfyui.history import HistoryFile
from ..errors import ComfyBusy, Detail, JobTimedOut, WorkerError
from ..ids import PromptId
from ..jobs.cancel import CancelToken
from ..jobs.events import Emit, PromptAssigned, StageFinished
from ..jobs.ports import OutputFile, RunOutcome, RunRequest, Workflow
from ..logs import get_logger
from ..ordering import natural_key
from ..outputs import own_workflow
from ..workflows import graph
from .attach import Share, attached, detach
from .collect import Collector
from .narration import Narrator
from .patience import Passing, Patience, rest_s
from .result import RemoteFile, seconds
from .room import Room
from .salad_api import BODY_BYTES, SaladApi
from .salad_graph import BoundGraph, bound

_INTERRUPT_EVERY_S = 1.0
_TRY_AGAIN_S = 1.0

log = get_logger()


class SaladTarget:
    """Any number of threads may run jobs. `hold_s`: longest time one is waited for; `stop_s`: until it has stopped.

    `patience_s`: how long a job is offered to an endpoint that is not there.
    """

    def __init__(
        self,
        api: SaladApi,
        room: Room,
        collector: Collector,
        share: Share | None = None,
        *,
        patience_s: float = 60.0,
        body_bytes: int = BODY_BYTES,
        hold_s: float = 6 * 3600.0,
        stop_s: float = 20.0,
    ) -> None:
        self._api = api
        self._room = room
        self._collector = collector
        self._share = share
        self._patience_s = patience_s
        self._body_bytes = body_bytes
        self._hold_s = hold_s
        self._stop_s = stop_s

    def run(self, request: RunRequest, workdir: Path, emit: Emit, cancel: CancelToken) -> RunOutcome:
        """Run one job to its outputs in `workdir`. Raises a WorkerError when nothing was produced."""
        self._stop_earlier(request)
        try:
            with self._room.occupied():
                outcome = self._run(request, workdir, emit, cancel)
        except WorkerError as error:
            if cancel.is_set():
                raise cancel.reason from error
            self._room.note_run(error)
            if isinstance(error, ComfyBusy):
                self._room.rest(rest_s(error))
            raise
        finally:
            # Nobody follows a job there: whoever runs it next shares its files anew.
            detach(request.job_id, request.files, self._room_bytes(request), self._share)
        self._room.note_run(None)
        return outcome

    def _run(self, request: RunRequest, workdir: Path, emit: Emit, cancel: CancelToken) -> RunOutcome:
        narrator = Narrator(request.workflow, emit)
        started = time.monotonic()
        graph_there = self._bound(request)
        _finish(emit, "upload", time.monotonic() - started)
        prompt_id = PromptId(str(uuid.uuid4()))
        emit(PromptAssigned(prompt_id, self._room.name))
        narrator.queued()
        narrator.begun()
        started = time.monotonic()
        answer = self._answered(graph_there, prompt_id, request.timeout_s, cancel)
        narrator.done()
        total_s = time.monotonic() - started
        execute_s = min(_duration_s(answer) or total_s, total_s)
        _finish(emit, "wait", total_s - execute_s)
        _finish(emit, "execute", execute_s)
        started = time.monotonic()
        files, warnings = self._collector.files(_files(answer, graph_there, prompt_id), workdir, emit, cancel)
        files = tuple(_with_own_workflow(file, answer, request.workflow) for file in files)
        _finish(emit, "download", time.monotonic() - started)
        facts = {"prompt_id": prompt_id, "instance": self._room.name} if request.facts else {}
        return RunOutcome(files, (), (*_left_out(request), *warnings), None, facts)

    def _stop_earlier(self, request: RunRequest) -> None:
        """What an earlier worker has submitted cannot be followed: it shall not run beside its repetition."""
        resume = request.resume
        if resume is None or resume.instance != self._room.name:
            return
        log.info("The target cannot tell of the job of an earlier run, running it again", target=self._room.name)
        with suppress(WorkerError):
            self._api.interrupt(resume.prompt_id)

    def _bound(self, request: RunRequest) -> BoundGraph:
        given = attached(request.job_id, request.files, self._room_bytes(request), self._share)
        sources = {file.name: source for file, source in given}
        workflow = graph.force(request.workflow, uuid.uuid4().hex) if request.force else request.workflow
        return bound(workflow, sources)

    def _room_bytes(self, request: RunRequest) -> int:
        return self._body_bytes - len(json.dumps(request.workflow)) - 1000

    # --- the held request ---

    def _answered(
        self, there: BoundGraph, prompt_id: PromptId, timeout_s: float | None, cancel: CancelToken
    ) -> Mapping[str, Any]:
        limit_s = self._hold_s if timeout_s is None else timeout_s
        woken = threading.Event()
        cancel.on_cancel(woken.set)
        held = self._held(there.workflow, prompt_id, cancel)
        held.add_done_callback(lambda _: woken.set())
        woken.wait(limit_s)
        if not held.done():
            self._stop(prompt_id, held)
            cancel.raise_if_set()
            raise JobTimedOut(f"The job did not finish within its limit of {limit_s:g} s and was stopped.")
        try:
            return held.result()
        except Passing as failure:
            # It may run there all the same, and will run again.
            with suppress(WorkerError):
                self._api.interrupt(prompt_id)
            raise self._api.unreachable(failure) from failure

    def _held(self, workflow: Workflow, prompt_id: PromptId, cancel: CancelToken) -> "Future[Mapping[str, Any]]":
        """The request in a thread of its own: nothing else can be waited for beside it."""
        held: Future[Mapping[str, Any]] = Future()

        def send() -> None:
            try:
                held.set_result(self._sent(workflow, prompt_id, Patience(cancel)))
            except (WorkerError, Passing) as error:
                held.set_exception(error)
            finally:
                held.cancel()  # by a defect it has neither; nobody shall wait for ever

        threading.Thread(target=send, name=f"salad-{prompt_id[:8]}", daemon=True).start()
        return held

    def _sent(self, workflow: Workflow, prompt_id: PromptId, patience: Patience) -> Mapping[str, Any]:
        until = time.monotonic() + self._patience_s
        while True:
            try:
                return self._api.prompt(workflow, prompt_id, patience, self._hold_s)
            except Passing as failure:
                pause_s = _TRY_AGAIN_S if failure.retry_after_s is None else failure.retry_after_s
                was_taken = not (failure.is_unsent or failure.is_busy)
                if was_taken or time.monotonic() + pause_s > until:
                    raise
                patience.pause(pause_s)

    def _stop(self, prompt_id: PromptId, held: "Future[Mapping[str, Any]]") -> None:
        """Interrupt it until it has stopped: one that waits in line there can only be stopped once it executes."""
        stopped = threading.Event()
        held.add_done_callback(lambda _: stopped.set())
        until = time.monotonic() + self._stop_s
        while not stopped.is_set() and time.monotonic() < until:
            with suppress(WorkerError):
                self._api.interrupt(prompt_id)
            stopped.wait(_INTERRUPT_EVERY_S)
        if not stopped.is_set():
            log.warning("The target goes on with a job that was to be stopped", target=self._room.name)


def _files(answer: Mapping[str, Any], there: BoundGraph, prompt_id: PromptId) -> list[RemoteFile]:
    """In the order of their nodes: comfyui-api gives them as they were read from its disk."""
    names, contents = answer.get("filenames"), answer.get("images")
    if not (isinstance(names, list) and isinstance(contents, list)):
        return []
    files = [
        file
        for name, content in zip(names, contents, strict=False)
        if isinstance(name, str) and isinstance(content, str) and (file := _file(name, content, there, prompt_id))
    ]
    files.sort(key=lambda file: (natural_key(file.node_id), natural_key(file.filename)))
    counts: dict[str, int] = {}
    for at, file in enumerate(files):
        counts[file.node_id] = counts.get(file.node_id, -1) + 1
        files[at] = replace(file, index=counts[file.node_id])
    return files


def _file(name: str, content: str, there: BoundGraph, prompt_id: PromptId) -> RemoteFile | None:
    origin, own_name = there.origin_of(name, prompt_id)
    plain = HistoryFile(origin.node_id, "images", 0, own_name, origin.subfolder, "output").plain
    if plain is None:
        return None
    kind = "s3_url" if content.startswith(("http://", "https://")) else "base64"
    return RemoteFile(origin.node_id, "images", 0, plain[0], plain[1], kind, content)


def _with_own_workflow(file: OutputFile, answer: Mapping[str, Any], own: Workflow) -> OutputFile:
    """The file tells the caller's workflow instead of the one that was made of it for comfyui-api."""
    given = answer.get("prompt")
    if not isinstance(given, dict) or not own_workflow.restore(file.path, file.filename, file.mime_type, given, own):
        return file
    with file.path.open("rb") as source:
        return replace(file, sha256=hashlib.file_digest(source, "sha256").hexdigest())


def _left_out(request: RunRequest) -> list[Detail]:
    """What was asked for and comfyui-api has no way to do."""
    asked = {"extra_pnginfo": bool(request.extra_pnginfo), "include_temp": request.include_temp}
    return [
        Detail(field=name, code="not_supported", message=f"The Salad target has no way to do {name}; it was left out.")
        for name, was_asked in asked.items()
        if was_asked
    ]


def _duration_s(answer: Mapping[str, Any]) -> float | None:
    stats = answer.get("stats")
    execution = stats.get("comfy_execution") if isinstance(stats, dict) else None
    return seconds(execution.get("duration"), per_second=1000) if isinstance(execution, dict) else None


def _finish(emit: Emit, stage: str, seconds: float) -> None:
    emit(StageFinished(stage, round(seconds, 4)))
