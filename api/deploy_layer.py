"""Settings → ComfyUI Deploy: the target that runs deployments, where there is a key."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import WorkerError, WorkflowNotFound
from .jobs.placement import DEPLOY
from .jobs.submission import Submission
from .settings import Settings
from .workflows.binding import INPUTS as _INPUTS
from .workflows.binding import NAME as _NAME
from .workflows.registry import Registry

if TYPE_CHECKING:
    from .comfydeploy.build import Deploy
    from .comfydeploy.plan import RouteMachine

_CACHE = "comfy-deploy"
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


def build_deploy(
    settings: Settings, root: Path, standard: Callable[[str], str], route: "RouteMachine"
) -> "Deploy | None":
    """None without a key. `root` is where the jobs' files are. Connects to nothing yet. Raises InvalidSettings."""
    if settings.comfy_deploy_api_key is None:
        return None
    from .comfydeploy.build import build, connect  # only where it is used

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
    )
    return build(
        client,
        catalog,
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
