"""ComfyUI Deploy as a Target: a job that names a deployment or a workflow there, run to its outputs."""

import time
from collections.abc import Callable
from pathlib import Path

from ..deploy_errors import DeployBusy, DeployError, DeployNotFound, DeployRefused
from ..errors import (
    ComfyBusy,
    ComfyUnreachable,
    Detail,
    ExecutionFailed,
    ExecutionInterrupted,
    InvalidInput,
    JobTimedOut,
    OutputUnavailable,
    WorkerError,
)
from ..ids import InstanceName
from ..jobs.cancel import CancelToken
from ..jobs.events import Emit, StageFinished
from ..jobs.ports import OutputFile, RunOutcome, RunRequest
from ..jobs.request import DeploymentSpec
from ..logs import get_logger
from ..masking import mask
from ..remote.collect import Collector
from .catalog import Catalog
from .client import DeployClient
from .inputs import bound
from .journey import Journey, Submit
from .news import News
from .outputs import errors_of, outputs_of
from .plan import Plan, Planner
from .rows import RunState

log = get_logger()

NoteRun = Callable[[WorkerError | None], None]
_SHOWN_CHARS = 500


class DeployTarget:
    """Runs `request.deployment`. `receiver` is where webhooks reach this process; None = runs are only looked at.

    `patience_s`: how long ComfyUI Deploy may be away during a run. `note_run` is told how each run ended.
    """

    def __init__(
        self,
        name: InstanceName,
        client: DeployClient,
        catalog: Catalog,
        planner: Planner,
        news: News,
        collector: Collector,
        *,
        receiver: str | None = None,
        poll_s: float = 2.0,
        patience_s: float = 600.0,
        note_run: NoteRun = lambda _error: None,
    ) -> None:
        self._name = name
        self._client = client
        self._catalog = catalog
        self._planner = planner
        self._news = news
        self._collector = collector
        self._receiver = receiver
        self._poll_s = poll_s
        self._patience_s = patience_s
        self._note_run = note_run

    def run(self, request: RunRequest, workdir: Path, emit: Emit, cancel: CancelToken) -> RunOutcome:
        """Run one job to its outputs in `workdir`. Raises a WorkerError when nothing was produced."""
        try:
            outcome = self._outcome(request, workdir, emit, cancel)
        except WorkerError as error:
            if cancel.is_set():
                raise cancel.reason from error
            translated = _translated(error)
            self._note_run(translated)
            raise translated from error
        self._note_run(outcome.failure)
        return outcome

    def _outcome(self, request: RunRequest, workdir: Path, emit: Emit, cancel: CancelToken) -> RunOutcome:
        spec = request.deployment
        if spec is None:
            raise _no_deployment()
        try:
            return self._planned(spec, request, workdir, emit, cancel)
        except DeployNotFound as error:
            # What was known of the account is no longer so; a run that was queued is never queued again.
            if isinstance(error, _RunGone):
                raise
            self._catalog.invalidate()
            return self._planned(spec, request, workdir, emit, cancel)

    def _planned(
        self, spec: DeploymentSpec, request: RunRequest, workdir: Path, emit: Emit, cancel: CancelToken
    ) -> RunOutcome:
        plan = self._planner.plan(spec, request.job_id, request.label)
        log.info("Run planned", workflow=plan.workflow_name, machine=plan.machine.name, why=plan.why)
        journey = Journey(
            self._client,
            self._news,
            self._name,
            emit,
            cancel,
            receiver=self._receiver,
            poll_s=self._poll_s,
            patience_s=self._patience_s,
            timeout_s=request.timeout_s,
        )
        submit = self._submitting(plan, spec, request, emit, cancel)
        try:
            run = journey.of(submit, plan.workflow_id, request.resume)
        except DeployNotFound as error:
            raise _RunGone(error.message) if journey.run_id else error from None
        return self._collected(run, plan, request, workdir, emit, cancel)

    def _submitting(
        self, plan: Plan, spec: DeploymentSpec, request: RunRequest, emit: Emit, cancel: CancelToken
    ) -> Submit:
        def submit(webhook: str | None) -> str:
            started = time.monotonic()
            inputs = bound(
                plan.types,
                spec.inputs,
                request.files,
                lambda file: self._client.upload(file.path, file.name.rpartition("/")[2], file.mime_type, cancel),
            )
            if plan.deployment is not None:
                run_id = self._client.queue_deployment(plan.deployment.id, inputs, webhook, spec.gpu or None, cancel)
            else:
                run_id = self._client.queue_version(plan.version_id, plan.machine.id, inputs, webhook, cancel)
            emit(StageFinished("upload", round(time.monotonic() - started, 4)))
            return run_id

        return submit

    def _collected(
        self, run: RunState, plan: Plan, request: RunRequest, workdir: Path, emit: Emit, cancel: CancelToken
    ) -> RunOutcome:
        failure = _failure_of(run, plan)
        remote, texts = outputs_of(run, include_temp=request.include_temp)
        started = time.monotonic()
        files: tuple[OutputFile, ...] = ()
        missing: list[Detail] = []
        try:
            files, missing = self._collector.files(remote, workdir, emit, cancel)
        except OutputUnavailable as error:
            if failure is None:
                raise
            failure.details.append(Detail(code="output_missing", message=error.message))
        finally:
            emit(StageFinished("download", round(time.monotonic() - started, 4)))
        if failure is not None and not (files or texts):
            raise failure
        if failure is None and not (files or texts):
            missing.append(Detail(code="no_outputs", message="The run ended well and has put nothing out."))
        return RunOutcome(files, texts, tuple(missing), failure, self._facts(run, plan) if request.facts else {})

    def _facts(self, run: RunState, plan: Plan) -> dict[str, str | None]:
        return {
            "prompt_id": run.id,
            "instance": self._name,
            "machine": plan.machine.name,
            "workflow": plan.workflow_name,
            "workflow_version_id": plan.version_id,
            "deployment_id": plan.deployment.id if plan.deployment else None,
        }


class _RunGone(DeployNotFound):
    """The run itself is no longer there."""

    code = DeployNotFound.code


def _failure_of(run: RunState, plan: Plan) -> WorkerError | None:
    where = f"on ComfyUI Deploy ({plan.machine.name}, run {run.id})"
    match run.status:
        case "success":
            return None
        case "timeout":
            return JobTimedOut(f"The run took longer than {where} lets it.")
        case "cancelled":
            return ExecutionInterrupted(f"The run was cancelled {where}, not by its caller.")
    told = "; ".join(errors_of(run)) or run.live_status or "it gave no reason"
    return ExecutionFailed(f"The run failed {where}: {mask(told)[:_SHOWN_CHARS]}")


def _translated(error: WorkerError) -> WorkerError:
    """What the job layer knows how to repeat, in its own words."""
    if isinstance(error, DeployBusy):
        return ComfyBusy(error.message)
    if isinstance(error, DeployError) and not isinstance(error, DeployRefused):
        return ComfyUnreachable(error.message)
    return error


def _no_deployment() -> InvalidInput:
    message = (
        "ComfyUI Deploy runs what is deployed there: send input.deployment with a deployment_id, a workflow_id or a "
        "name, and its inputs, instead of a workflow."
    )
    return InvalidInput(message, [Detail(field="deployment", code="missing", message=message)])
