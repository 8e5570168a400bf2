"""JobHandler: request → target → outputs → result dict. The only code that runs a job; knows no SDK and no HTTP."""

import contextlib
import copy
import dataclasses
import functools
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import DeliveryFailed, InternalError, InvalidInput, WorkerError, WorkflowInUiFormat
from .ids import JobId
from .jobs.cancel import CancelToken
from .jobs.events import Emit, JobEvent, PromptAssigned, StageFinished, ignore
from .jobs.placement import Placement, Places
from .jobs.ports import Host, InputFile, Report, RunOutcome, RunRequest, Target, Workflow
from .jobs.request import ImageSpec, JobRequest, Limits, parse
from .jobs.result import failure, success
from .logs import bound, get_logger
from .outputs.delivery import Delivery
from .outputs.handover import OUTPUT_LOST
from .receipt import make_receipt
from .tracing import Stage, TracedRun
from .workflows import graph

log = get_logger()

_QUOTING = {InvalidInput.code, WorkflowInUiFormat.code, *(kind.code for kind in InvalidInput.__subclasses__())}

_NO_HOST = Host()
_ANYWHERE = Places()
# Where the result has no limit: its input files are in memory with it.
_RECEIPT_BYTES = 20_000_000

Resolve = Callable[[tuple[ImageSpec, ...], Path, CancelToken, Mapping[str, Path]], tuple[InputFile, ...]]


class JobHandler:
    """Call it with a job dict; it answers with the result dict and never raises for the job's own fault."""

    def __init__(
        self,
        *,
        target: Target,
        resolve_inputs: Resolve,
        delivery: Delivery,
        limits: Limits,
        max_workflow_nodes: int,
        workflow_paths: Sequence[str] = (),
        work_dir: Path,
        folder_of: Callable[[JobId], str],
        comfy_org_api_key: str | None = None,
        timeout_s: float | None = None,
        expand: Callable[[object], object] = lambda job: job,
        place: Callable[[JobRequest], Placement] = _ANYWHERE.of,
        trace: Callable[[TracedRun], None] | None = None,
        report: Callable[[JobRequest], Report | None] = lambda _request: None,
        report_refused: Callable[[object, Mapping[str, Any]], None] = lambda _job, _result: None,
    ) -> None:
        self._target = target
        self._resolve_inputs = resolve_inputs
        self._delivery = delivery
        self._limits = limits
        self._max_workflow_nodes = max_workflow_nodes
        self._workflow_paths = workflow_paths
        self._work_dir = work_dir
        self._folder_of = folder_of
        self._comfy_org_api_key = comfy_org_api_key
        self._timeout_s = timeout_s
        self._expand = expand
        self._place = place
        self._trace = trace
        self._report = report
        self._report_refused = report_refused

    def on(self, target: Target) -> "JobHandler":
        """The same handler over another target."""
        other = copy.copy(self)
        other._target = target
        return other

    def __call__(
        self,
        job: object,
        emit: Emit = ignore,
        cancel: CancelToken | None = None,
        inline_limit_bytes: int | None = None,
        host: Host = _NO_HOST,
    ) -> dict[str, Any]:
        """Run one job, blocking. `inline_limit_bytes` bounds the encoded result where its way out has a limit."""
        try:
            request = parse(self._expand(job), self._limits)
            with bound(job_id=request.job_id):
                return self._run_logged(request, emit, cancel or CancelToken(), inline_limit_bytes, host)
        except WorkerError as error:
            result = failure(error)
            log.info("Job refused", **_told(result))
            self._report_refused(job, result)
            return result

    def check(self, job: object) -> JobRequest:
        """What can be told of a job before it waits in line: its fields and its graph. Raises InvalidInput."""
        request = parse(self._expand(job), self._limits)
        self._delivery.check(request.output, request.s3)
        self._checked_workflow(request)
        self._place(request)
        return request

    def tell_of(self, job: object, result: Mapping[str, Any]) -> None:
        """Tell whoever is told of the job beside its caller that it has ended without a run. May take a minute."""
        if report := self._report(parse(self._expand(job), self._limits)):
            report.ended(result)

    def _run_logged(
        self, request: JobRequest, emit: Emit, cancel: CancelToken, inline_limit_bytes: int | None, host: Host
    ) -> dict[str, Any]:
        report = self._report(request)
        clock = StageClock(emit, report)
        try:
            result = self._run(request, clock, clock.tell, cancel, inline_limit_bytes, host)
        except WorkerError as error:
            result = failure(error)
            result["details"] += request.remarks
        except Exception:  # The job's border: the caller gets an answer, the log gets the traceback.
            log.exception("Job failed by a defect of the worker")
            result = failure(InternalError("The worker failed on this job; its log has the reason under the job's id."))
        if request.timings:
            result["timings_s"] = clock.stages_s
        if report:
            report.ended(result)
        if self._trace:
            self._trace(clock.traced(request, result.get("code")))
        # A mode with a host tells of its jobs' ends itself.
        write = log.info if host is _NO_HOST else log.debug
        write("Job finished", **_told(result), stages_s=clock.stages_s)
        return result

    def _run(
        self,
        request: JobRequest,
        clock: "StageClock",
        emit: Emit,
        cancel: CancelToken,
        inline_limit_bytes: int | None,
        host: Host,
    ) -> dict[str, Any]:
        self._delivery.check(request.output, request.s3)
        workflow = self._checked_workflow(request)
        host = host if host.placement else dataclasses.replace(host, placement=self._place(request))
        with self._scratch() as workdir:
            with clock.stage("fetch"):
                files = self._resolve_inputs(request.images, workdir, cancel, host.held)
            cancel.raise_if_set()
            outcome = self._target.run(self._run_request(request, workflow, files, host), workdir, emit, cancel)
            if clock.report:
                with clock.stage("report"):
                    clock.report.outputs(outcome, cancel)
            receipt = {}
            if request.receipt:
                # A share of the room: a receipt shall not crowd out what it is the receipt of.
                share = (inline_limit_bytes or _RECEIPT_BYTES * 4) // 4
                receipt = {"receipt": make_receipt(request, workflow, files, outcome, share)}
            with clock.stage("deliver"):
                result = self._deliver(request, outcome, workdir, inline_limit_bytes, host, cancel, receipt)
            if receipt:
                result["receipt"] = {**receipt["receipt"], "stages_s": dict(clock.stages_s)}
        error = outcome.failure or _lost(result)
        return failure(error, result) if error else result

    def _checked_workflow(self, request: JobRequest) -> Workflow:
        if request.deployment is not None:
            return {}
        check = functools.partial(graph.check, max_nodes=self._max_workflow_nodes, roots=self._workflow_paths)
        workflow = check(request.workflow)
        return check(graph.apply_overrides(workflow, request.overrides)) if request.overrides else workflow

    def _run_request(
        self, request: JobRequest, workflow: Workflow, files: tuple[InputFile, ...], host: Host
    ) -> RunRequest:
        return RunRequest(
            job_id=request.job_id,
            workflow=workflow,
            folder=self._folder_of(request.job_id),
            files=files,
            comfy_org_api_key=request.comfy_org_api_key or self._comfy_org_api_key,
            extra_pnginfo=request.extra_pnginfo,
            force=request.force,
            include_temp=request.output.include_temp,
            wants_previews=host.wants_previews,
            afterwards=host.afterwards,
            facts=request.receipt,
            timeout_s=request.timeout_s or self._timeout_s,
            resume=host.resume,
            seat=host.seat,
            label=host.placement.label if host.placement else None,
            deployment=request.deployment,
        )

    def _deliver(
        self,
        request: JobRequest,
        outcome: RunOutcome,
        workdir: Path,
        inline_limit_bytes: int | None,
        host: Host,
        cancel: CancelToken,
        receipt: Mapping[str, Any],
    ) -> dict[str, Any]:
        known = [*request.remarks, *outcome.warnings]
        rest = success([], outcome.texts, known)
        delivered, warnings = self._delivery.deliver(
            request.job_id,
            outcome.files,
            request.output,
            request.s3,
            workdir,
            inline_limit_bytes,
            reserved_bytes=len(json.dumps({**rest, **receipt})),
            inline=host.inline,
            archive=host.archive,
            cancel=cancel,
        )
        return success(delivered, outcome.texts, [*known, *warnings])

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[Path]:
        self._work_dir.mkdir(parents=True, exist_ok=True)
        workdir = Path(tempfile.mkdtemp(prefix="job-", dir=self._work_dir))
        try:
            yield workdir
        finally:
            shutil.rmtree(workdir, ignore_errors=True)


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the log says of a result: of a refused input only where it is wrong, since the text may quote it."""
    code = result.get("code", "OK")
    if code in _QUOTING:
        return {"code": code, "fields": [detail.get("field") for detail in result.get("details", [])]}
    return {"code": code, "error": result.get("error")}


def _lost(result: Mapping[str, Any]) -> DeliveryFailed | None:
    """An output that could go nowhere fails the job: a result without it would look whole."""
    lost = [detail["message"] for detail in result.get("details", []) if detail.get("code") == OUTPUT_LOST]
    if not lost:
        return None
    return DeliveryFailed(f"{lost[0]} Configure S3 (BUCKET_ENDPOINT_URL), or set OVERFLOW_DIR to a folder that lasts.")


class StageClock:
    """Seconds per stage, in the order they were done; told to the listener as each one ends."""

    def __init__(self, emit: Emit, report: Report | None = None) -> None:
        self.stages_s: dict[str, float] = {}
        self.report = report
        self._emit = emit
        self._began_at = time.time()
        self._stages: list[Stage] = []
        self._where: dict[str, str] = {}

    def tell(self, event: JobEvent) -> None:
        """Pass an event on; the times of stages, the target's among them, add up here."""
        match event:
            case StageFinished(stage=stage, seconds=seconds):
                self.stages_s[stage] = round(self.stages_s.get(stage, 0.0) + seconds, 4)
                self._stages.append(Stage(stage, time.time() - seconds, seconds))
            case PromptAssigned(prompt_id=prompt_id, instance=instance):
                self._where = {"comfyui.prompt_id": prompt_id, "comfyui.instance": instance}
            case _:
                pass
        if self.report:
            self.report.told(event)
        self._emit(event)

    def traced(self, request: JobRequest, code: str | None) -> TracedRun:
        """The run as far as it has come, for its trace."""
        where = {"job.id": request.job_id, **self._where}
        return TracedRun(
            request.job_id, self._began_at, time.time(), tuple(self._stages), code, where, request.traceparent
        )

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block, also when it raises."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.tell(StageFinished(name, round(time.monotonic() - started, 4)))
