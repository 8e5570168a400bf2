"""One run of a job on one ComfyUI: upload, names of the job's own, the prompt, its outputs fetched."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ..comfyui.cutoff import Cutoff
from ..comfyui.history import HistoryEntry, Verdict
from ..comfyui.limits import RunLimits
from ..comfyui.lookup import Place, locate_surely
from ..comfyui.run import End, RunEnd, run_prompt
from ..comfyui.submit import PromptBody
from ..errors import ComfyUnreachable, Detail, JobTimedOut, WorkerError
from ..ids import PromptId
from ..jobs.events import Emit, PromptAssigned, StageFinished
from ..jobs.ports import RunOutcome, RunRequest, Workflow
from ..logs import get_logger
from ..workflows import graph
from .collect import Collector, StaleOutput
from .instance import Instance
from .leash import Leash, Recalled
from .narrator import Narrator
from .uploads import Uploads

Result = TypeVar("Result")

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
        leash: Leash,
    ) -> None:
        cancel = leash.cancel
        self._instance = instance
        self._client = instance.client.cut_by(Cutoff(cancel))
        self._limits = replace(limits, timeout_s=request.timeout_s)
        self._request = request
        self._uploads = Uploads(self._client, request.files, request.folder, cancel)
        self._workdir = workdir
        self._emit = emit
        self._cancel = cancel
        self._leash = leash
        self._narrator: Narrator | None = None
        self._inserted = graph.Inserted()
        self._started_at = 0.0
        self._to_resume = request.resume
        self.prompt_ids: list[PromptId] = []
        self.previews: set[str] = set()
        self.executed = False

    @property
    def last_node(self) -> str | None:
        """The node that was being executed when ComfyUI was last heard; None when the prompt was through."""
        return self._narrator.last_node if self._narrator and not self.executed else None

    def run(self, stale: frozenset[str]) -> RunOutcome:
        """Run the job once; nodes in `stale` are kept from the cache. Raises WorkerError, StaleOutput, Recalled.

        A prompt that an earlier worker has submitted is followed, and run again only when ComfyUI has lost it.
        """
        self.executed = False
        with self._stage("wait"):
            self._instance.wait_ready(self._cancel)
            submitted = self._outlasting(self._submitted_earlier)
        if submitted:
            return self._run(submitted, self._uploads.expected(), stale, resume=True)
        with self._stage("upload"):
            names = self._outlasting(self._uploads.store)
        return self._run(PromptId(str(uuid.uuid4())), names, stale, resume=False)

    def _run(self, prompt_id: PromptId, names: Mapping[str, str], stale: frozenset[str], *, resume: bool) -> RunOutcome:
        workflow = self._bound(names, stale)
        try:
            end = self._run_prompt(prompt_id, workflow, resume=resume)
        except WorkerError as error:
            self._inserted.attribute(error)
            raise
        if end.end is End.RECALLED:
            raise Recalled
        if end.entry is None:
            raise self._stopped(end)
        return self._collected(workflow, end, end.entry)

    def _outlasting(self, step: Callable[[], Result]) -> Result:
        """The step's result; done once more when ComfyUI goes away meanwhile and comes back."""
        try:
            return step()
        except ComfyUnreachable as error:
            if isinstance(error.__cause__, TimeoutError):
                raise  # the wait was long enough once
        self._instance.wait_back(time.monotonic() + self._limits.outage_grace_s, self._cancel)
        return step()

    def _submitted_earlier(self) -> PromptId | None:
        """The prompt to be followed; None when there is none, or ComfyUI has lost it, or it was interrupted."""
        if self._to_resume is None:
            return None
        prompt_id = self._to_resume.prompt_id
        found = locate_surely(self._client, prompt_id, self._limits.probe_timeout_s)
        self._to_resume = None
        if found.place is Place.ABSENT:
            log.info("ComfyUI no longer has the prompt of an earlier run, running the job again")
            return None
        if found.entry and found.entry.verdict is Verdict.INTERRUPTED:
            self.prompt_ids.append(prompt_id)  # to be forgotten with the others
            log.info("The prompt of an earlier run was interrupted, running the job again")
            return None
        return prompt_id

    def _bound(self, names: Mapping[str, str], stale: frozenset[str]) -> Workflow:
        workflow = graph.save_streamed_frames(self._request.workflow)
        workflow, unused = graph.bind_files(workflow, names)
        workflow, self._inserted = graph.bind_prefixes(workflow, self._request.folder)
        if self._inserted:
            self._check_insertable()
        if self._request.include_temp:
            # One from the cache would be a picture that tells the workflow of another job.
            workflow = graph.refresh(workflow, graph.previews(workflow), uuid.uuid4().hex)
        if self._request.force:
            workflow = graph.force(workflow, uuid.uuid4().hex)
        if stale:
            workflow = graph.refresh(workflow, stale, uuid.uuid4().hex)
        if unused:
            log.warning("Input files no node uses", names=sorted(unused))
        return workflow

    def _check_insertable(self) -> None:
        missing = [name for name in graph.CLASSES if not self._instance.client.object_info(name)]
        if missing:
            raise self._inserted.refusal(missing)

    def _run_prompt(self, prompt_id: PromptId, workflow: Workflow, *, resume: bool) -> RunEnd:
        self.prompt_ids.append(prompt_id)
        self._emit(PromptAssigned(prompt_id, self._instance.name))
        self._narrator = Narrator(
            workflow,
            self._emit,
            hidden=self._inserted,
            wants_previews=self._request.wants_previews,
            told_percent=self._narrator.percent if self._narrator else 0.0,
        )
        self._started_at = time.time()
        end: RunEnd | None = None
        with self._execution_timed(lambda: end):
            end = run_prompt(
                self._instance.client,
                self._instance.stream,
                PromptBody(workflow, self._request.comfy_org_api_key, self._request.extra_pnginfo),
                prompt_id,
                emit=self._narrator.tell,
                cancel=self._cancel,
                limits=self._limits,
                worker=self._instance.worker,
                resume=resume,
                accept_partial=True,
                recall=self._leash.recall,
                is_given_up=self._leash.is_given_up,
            )
        return end

    def _stopped(self, end: RunEnd) -> WorkerError:
        if end.stop_ignored:
            self._instance.restart(self._started_at)
        if end.end is End.TIMED_OUT:
            limit_s = self._limits.timeout_s
            whose = "its timeout_s, else JOB_TIMEOUT"
            return JobTimedOut(f"The job did not finish within its limit of {limit_s:g} s and was stopped ({whose}).")
        return self._cancel.reason

    def _collected(self, workflow: Workflow, end: RunEnd, entry: HistoryEntry) -> RunOutcome:
        self.executed = True
        self.previews |= entry.previews()
        back_by = time.monotonic() + self._limits.outage_grace_s
        collector = Collector(
            self._client,
            workflow,
            entry,
            self._request,
            self._workdir,
            lambda: self._instance.wait_back(back_by, self._cancel),
            self._cancel.raise_if_set,
        )
        failure = entry.error()
        self._leash.has_executed = failure is None
        if failure:
            self._inserted.attribute(failure)
        with self._stage("download"):
            try:
                files, texts = collector.files(), collector.texts()
                files += tuple(texts.files)
            except (WorkerError, StaleOutput) as error:
                if failure is None:
                    raise
                failure.details.append(Detail(code="output_missing", message=str(error)))
                raise failure from error
        if failure and not files and not texts.inline:
            raise failure
        warnings = (*map(self._inserted.attributed_detail, end.dropped), *collector.warnings)
        return RunOutcome(files, tuple(texts.inline), warnings, failure, self._facts())

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
