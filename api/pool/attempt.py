"""One run of a job on one ComfyUI: upload, names of the job's own, the prompt, its outputs fetched."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..comfyui.events import ComfyEvent, ExecutionStarted
from ..comfyui.history import HistoryEntry
from ..comfyui.limits import RunLimits
from ..comfyui.run import RunEnd, run_prompt
from ..comfyui.submit import PromptBody
from ..errors import ComfyUnreachable, Detail, JobTimedOut, WorkerError
from ..ids import PromptId
from ..jobs.cancel import CancelToken
from ..jobs.events import Emit, PromptAssigned, StageFinished
from ..jobs.ports import RunOutcome, RunRequest, Workflow
from ..jobs.request import folder_of
from ..logs import get_logger
from ..workflows import graph
from .collect import Collector, StaleOutput
from .instance import Instance
from .narrator import Narrator

log = get_logger()


class Attempts:
    """Runs one job, again if need be; `prompt_ids` adds up over the runs.

    `executed`: ComfyUI has finished the prompt, so a failure after that is no reason to render again.
    """

    def __init__(
        self,
        instance: Instance,
        limits: RunLimits,
        request: RunRequest,
        workdir: Path,
        emit: Emit,
        cancel: CancelToken,
    ) -> None:
        self._instance = instance
        self._limits = limits
        self._request = request
        self._workdir = workdir
        self._emit = emit
        self._cancel = cancel
        self._folder = folder_of(request.job_id)
        self._narrator: Narrator | None = None
        self._started_at = 0.0
        self.prompt_ids: list[PromptId] = []
        self.executed = False

    @property
    def last_node(self) -> str | None:
        """The node that was being executed when ComfyUI was last heard."""
        return self._narrator.last_node if self._narrator else None

    def run(self, stale: frozenset[str]) -> RunOutcome:
        """Run the job once; nodes in `stale` are kept from the cache. Raises WorkerError, StaleOutput."""
        self.executed = False
        with self._stage("wait"):
            self._instance.wait_ready(self._cancel)
        with self._stage("upload"):
            names = self._uploaded()
        workflow = self._bound(names, stale)
        end = self._run_prompt(workflow)
        if end.entry is None:
            raise self._stopped(end)
        return self._collected(workflow, end, end.entry)

    def _uploaded(self) -> dict[str, str]:
        """`_upload`, once more when ComfyUI goes away meanwhile and comes back."""
        try:
            return self._upload()
        except ComfyUnreachable as error:
            if isinstance(error.__cause__, TimeoutError):
                raise  # the wait was long enough once
        self._instance.wait_back(time.monotonic() + self._limits.outage_grace_s, self._cancel)
        return self._upload()

    def _upload(self) -> dict[str, str]:
        """The caller's names → the stored ones, in the job's own folder; equal content is sent once."""
        stored: dict[str, str] = {}
        for file in self._request.files:
            self._cancel.raise_if_set()
            if file.sha256 not in stored:
                subfolder, _, name = f"{self._folder}/{file.name}".rpartition("/")
                uploaded = self._instance.client.upload(
                    file.path, name, subfolder=subfolder, content_type=file.mime_type, overwrite=True
                )
                stored[file.sha256] = uploaded.reference
        return {file.name: stored[file.sha256] for file in self._request.files}

    def _bound(self, names: Mapping[str, str], stale: frozenset[str]) -> Workflow:
        workflow = graph.save_streamed_frames(self._request.workflow)
        workflow, unused = graph.bind_files(workflow, names)
        workflow = graph.bind_prefixes(workflow, self._folder)
        if self._request.force:
            workflow = graph.force(workflow, uuid.uuid4().hex)
        if stale:
            workflow = graph.refresh(workflow, stale, uuid.uuid4().hex)
        if unused:
            log.warning("Input files no node uses", names=sorted(unused))
        return workflow

    def _run_prompt(self, workflow: Workflow) -> RunEnd:
        resume = self._request.resume if not self.prompt_ids else None
        prompt_id = resume.prompt_id if resume else PromptId(str(uuid.uuid4()))
        self.prompt_ids.append(prompt_id)
        self._emit(PromptAssigned(prompt_id, self._instance.name))
        self._narrator = Narrator(
            workflow,
            self._emit,
            previews=self._request.previews,
            told_percent=self._narrator.percent if self._narrator else 0.0,
        )
        self._started_at = time.time()
        end: RunEnd | None = None
        with self._time_limit() as limit, self._execution_timed(lambda: end):
            end = run_prompt(
                self._instance.client,
                self._instance.stream,
                PromptBody(workflow, self._request.comfy_org_api_key, self._request.extra_pnginfo),
                prompt_id,
                emit=_both(self._narrator.tell, limit.note) if limit else self._narrator.tell,
                cancel=self._cancel,
                limits=self._limits,
                resume=resume is not None,
                accept_partial=True,
            )
        return end

    @contextmanager
    def _time_limit(self) -> "Iterator[_TimeLimit | None]":
        if self._request.timeout_s is None:
            yield None
            return
        limit = _TimeLimit(self._request.timeout_s, self._cancel)
        try:
            yield limit
        finally:
            limit.stop()

    def _stopped(self, end: RunEnd) -> WorkerError:
        if end.stop_ignored:
            self._instance.restart(self._started_at)
        return self._cancel.reason

    def _collected(self, workflow: Workflow, end: RunEnd, entry: HistoryEntry) -> RunOutcome:
        self.executed = True
        back_by = time.monotonic() + self._limits.outage_grace_s
        collector = Collector(
            self._instance.client,
            workflow,
            entry,
            self._request,
            self._workdir,
            lambda: self._instance.wait_back(back_by, self._cancel),
        )
        failure = entry.error()
        with self._stage("download"):
            try:
                files, texts = collector.files(), collector.texts()
            except (WorkerError, StaleOutput) as error:
                if failure is None:
                    raise
                failure.details.append(Detail(code="output_missing", message=str(error)))
                raise failure from error
        if failure and not files and not texts:
            raise failure
        warnings = (*end.dropped, *collector.warnings)
        return RunOutcome(files, texts, warnings, failure, self._facts())

    def _facts(self) -> dict[str, Any]:
        if not self._request.facts:
            return {}
        return {"prompt_id": self.prompt_ids[-1], "instance": self._instance.name, **self._instance.facts()}

    @contextmanager
    def _execution_timed(self, end_of: "Callable[[], RunEnd | None]") -> Iterator[None]:
        """Split the time in ComfyUI into waiting in its queue and executing, as its history tells; also when lost."""
        started = time.monotonic()
        try:
            yield
        finally:
            total_s, end = time.monotonic() - started, end_of()
            told_s = end.entry.execution_s if end and end.entry else None
            execution_s = min(total_s, told_s) if told_s is not None else total_s
            self._finish_stage("wait", total_s - execution_s)
            self._finish_stage("execute", execution_s)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self._finish_stage(name, time.monotonic() - started)

    def _finish_stage(self, name: str, seconds: float) -> None:
        self._emit(StageFinished(name, round(seconds, 4)))


class _TimeLimit:
    """Cancels the job `timeout_s` after its execution began: waiting behind another job's prompt does not count."""

    def __init__(self, timeout_s: float, cancel: CancelToken) -> None:
        self._timeout_s = timeout_s
        self._cancel = cancel
        self._timer: threading.Timer | None = None

    def note(self, event: ComfyEvent) -> None:
        """Begin to count when the prompt leaves ComfyUI's queue, heard on the socket or seen over HTTP."""
        if isinstance(event, ExecutionStarted) and self._timer is None:
            self._timer = threading.Timer(self._timeout_s, self._expire)
            self._timer.daemon = True
            self._timer.start()

    def stop(self) -> None:
        """The run is over."""
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        self._cancel.cancel(
            JobTimedOut(f"The job did not finish within its limit of {self._timeout_s:g} s and was stopped.")
        )


def _both(first: Any, second: Any) -> Any:
    def tell(event: ComfyEvent) -> None:
        second(event)
        first(event)

    return tell
