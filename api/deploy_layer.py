"""Settings → ComfyUI Deploy: the target that runs deployments, where there is a key."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InternalError, JobCancelled, JobTimedOut, SecretsUnreadable, WorkerError, WorkflowNotFound
from .jobs.ends import Run
from .jobs.intake import Intake
from .jobs.job import Job, Status
from .jobs.placement import DEPLOY, Arrival, Placement
from .jobs.submission import Submission
from .logs import get_logger
from .settings import Settings
from .workflows.binding import INPUTS as _INPUTS
from .workflows.binding import NAME as _NAME
from .workflows.registry import Registry

if TYPE_CHECKING:
    from .comfydeploy.build import Deploy
    from .comfydeploy.plan import RouteMachine

log = get_logger()

_CACHE = "comfy-deploy"
# Where a job of ComfyUI Deploy says whom to tell.
_REPORT = "report"
_ENDS = {Status.CANCELLED: JobCancelled.code, Status.TIMED_OUT: JobTimedOut.code}
# How often it is asked whether it is back.
_POLLS_PER_LOOK = 2.5


def deploy_names(settings: Settings) -> tuple[str, ...]:
    """The name of the target, where there is one."""
    return () if settings.comfy_deploy_api_key is None else (DEPLOY,)


def redirected(submission: Submission, workflows: Registry, deploy: "Deploy | None") -> Submission:
    """A call of a workflow by name that is none of this worker's, as a deployment of ComfyUI Deploy if it is there.

    So is one that says `gpu: deploy`. Others stay as they are.
    """
    given = submission.job.get("input")
    name = given.get(_NAME) if isinstance(given, Mapping) else None
    # Files that came with the call are inputs of a local workflow.
    if deploy is None or not isinstance(given, Mapping) or not isinstance(name, str) or submission.files:
        return submission
    asked = str(given.get("gpu") or "").strip().lower()
    if asked != DEPLOY and (asked or _is_here(name, workflows) or not deploy.has_workflow(name)):
        return submission
    rest = {key: value for key, value in given.items() if key not in {_NAME, _INPUTS, "gpu", "machine_id"}}
    wish = {"name": name, "inputs": given.get(_INPUTS) or {}, "machine_id": given.get("machine_id")}
    return replace(submission, job={**submission.job, "input": {**rest, "deployment": wish}}, workflow_name=name)


def _is_here(name: str, workflows: Registry) -> bool:
    try:
        workflows.get(name)
    except WorkflowNotFound:
        return False
    except WorkerError:
        return True  # it has a mistake in it, and its callers are to know
    return True


def checking(place: Callable[[Arrival], Placement], deploy: "Deploy | None") -> Callable[[Arrival], Placement]:
    """`place`, which then also refuses runs of ComfyUI Deploy that could not run there."""

    def checked(arrival: Arrival) -> Placement:
        placement, request = place(arrival), arrival.request
        if deploy is not None and request.deployment is not None and placement.target == DEPLOY:
            files = [image.name for image in request.images]
            deploy.check(request.deployment, arrival.job_id, placement.label, files)
        return placement

    return checked


class Unrun:
    """Tells ComfyUI Deploy of those of its runs that ended on this machine without a run: in line, or by a lost worker.

    Of all others the handler tells. `tell` may take a minute.
    """

    def __init__(self, intake: Intake, tell: Callable[[object, Mapping[str, Any]], None]) -> None:
        self._intake = intake
        self._tell = tell

    def note(self, job: Job, run: Run | None) -> None:
        """A job has ended."""
        kept = self._reopened(job) if run is None and job.status is not Status.SUCCEEDED else None
        if kept is not None and kept[0]["input"].get(_REPORT):
            code = _ENDS.get(job.status) or (job.error.code if job.error else InternalError.code)
            told = job.error.message if job.error else f"The run was {job.status.value.lower()} before it began."
            arguments = (kept[0], {"error": told, "code": code})
            threading.Thread(target=self._tell, args=arguments, name="report-unrun", daemon=True).start()

    def _reopened(self, job: Job) -> tuple[dict[str, Any], Mapping[str, Path]] | None:
        try:
            return self._intake.reopen(job.id)
        except SecretsUnreadable as error:
            log.warning("Whom to tell of a job's end cannot be read", job_id=job.id, error=error.message)
            return None


def build_deploy(
    settings: Settings, root: Path, standard: Callable[[str], str], route: "RouteMachine"
) -> "Deploy | None":
    """None without a key. `root` is where the jobs' files are. Connects to nothing yet. Raises InvalidSettings."""
    if settings.comfy_deploy_api_key is None:
        return None
    from .comfydeploy.build import Tries, build, connect  # only where it is used

    tries = Tries()
    redis_url = settings.comfy_deploy_redis_url
    client, catalog = connect(
        settings.comfy_deploy_api_url,
        settings.comfy_deploy_api_key.get_secret_value(),
        prefix=settings.comfy_deploy_api_prefix,
        timeout_s=settings.comfy_deploy_timeout_s,
        ttl_s=settings.comfy_deploy_cache_ttl_s,
        cache_dir=settings.comfy_deploy_cache_dir or root / _CACHE,
        redis_url=redis_url.get_secret_value() if redis_url else None,
        standard=standard,
        on_try=tries,
    )
    return build(
        client,
        catalog,
        tries=tries,
        webhook_url=settings.webhook_url,
        route=route,
        max_runs=settings.comfy_deploy_max_runs,
        poll_s=settings.comfy_deploy_poll_s,
        probe_interval_s=_POLLS_PER_LOOK * settings.comfy_deploy_poll_s,
        breaker_failures=settings.comfy_breaker_failures,
        breaker_open_s=settings.comfy_breaker_open_s,
        allow_private=settings.input_url_allow_private,
        allowed_hosts=settings.input_url_allowed_hosts,
    )
