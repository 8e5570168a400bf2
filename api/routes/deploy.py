"""/api/deploy: what ComfyUI Deploy has, runs there as jobs of this worker, and the cache of it all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ..deploy_errors import DeployOff
from ..errors import JobNotFound, JobNotReady
from ..jobs.job import Job
from ..jobs.placement import DEPLOY
from ..jobs.request_findings import validated
from ..jobs.service import JobService
from ..jobs.store import JobFilter
from . import deploy_objects as objects
from . import deploy_words as words
from . import submissions
from .answers import answer, job_answer
from .body import JsonBody, OptionalJsonBody
from .dialects import job_id_of
from .links import OutputLinks
from .openapi import request_body
from .paging import CURSOR_EXAMPLE, cursor_of, text_of
from .paths import DEPLOY_PREFIX, DEPLOY_WEBHOOK

if TYPE_CHECKING:
    from ..comfydeploy.build import Deploy

_QUEUE = frozenset(submissions.QueueFields.model_fields)
_BESIDES = ("images", "timeout_s")
# Kinds of events and the lists that are no longer so; a run that fails may be its machine's fault.
_STALE: Mapping[str, str] = {"workflow": "workflows", "deployment": "deployments", "machine": "machines"}
_FAILED = frozenset({"failed", "timeout"})


@dataclass(frozen=True)
class Surface:
    """What the routes need. `deploy` is None where no key is set: then they say so."""

    service: JobService
    links: OutputLinks
    deploy: "Deploy | None"

    @property
    def there(self) -> "Deploy":
        """Raises DeployOff."""
        if self.deploy is None:
            raise DeployOff("This worker uses no ComfyUI Deploy: set COMFY_DEPLOY_API_KEY.")
        return self.deploy

    def job(self, text: str) -> Job:
        """The job of a run. Raises JobNotFound."""
        job = self.service.get(job_id_of(text))
        if job.target != DEPLOY:
            raise JobNotFound(f"Job {job.id} is no run of ComfyUI Deploy; look at /status/{job.id}.")
        return job


def router(surface: Surface) -> APIRouter:
    """Everything below /api/deploy but the routing."""
    routes = APIRouter(tags=["deploy"])

    @routes.get(
        DEPLOY_PREFIX,
        summary="How ComfyUI Deploy is used",
        responses={200: {"model": words.DeployState, "description": "Its state"}},
    )
    def state() -> Response:
        deploy = surface.there
        facts = deploy.facts()
        told = {name: facts.get(name) for name in ("status", "reason", "slots", "running")}
        webhooks = deploy.receiver is not None
        return answer({"url": deploy.client.base_url, **told, "webhooks": webhooks, "cache": deploy.catalog.facts()})

    @routes.get(
        f"{DEPLOY_PREFIX}/workflows",
        summary="The workflows of the account, with their deployments",
        responses={200: {"model": words.DeployWorkflows, "description": "All of them"}},
    )
    def workflows() -> Response:
        catalog = surface.there.catalog
        deployments = catalog.deployments()
        found = [
            objects.workflow_object(each, catalog.standard(each.name), deployments) for each in catalog.workflows()
        ]
        return answer({"workflows": found})

    @routes.get(
        f"{DEPLOY_PREFIX}/workflows/{{workflow}}",
        summary="One workflow, by id, name or standard name",
        responses={200: {"model": words.DeployWorkflow, "description": "It and its deployments"}},
    )
    def one_workflow(workflow: str) -> Response:
        catalog = surface.there.catalog
        found = catalog.workflow(workflow)
        return answer(objects.workflow_object(found, catalog.standard(found.name), catalog.deployments_of(found.id)))

    @routes.get(
        f"{DEPLOY_PREFIX}/deployments",
        summary="The deployments of the account",
        responses={200: {"model": words.DeployDeployments, "description": "All, or those of one workflow"}},
    )
    def deployments(
        workflow: Annotated[
            str | None, Query(description="Only this workflow's, by id or name", examples=["text2img"])
        ] = None,
    ) -> Response:
        catalog = surface.there.catalog
        found = catalog.deployments_of(catalog.workflow(workflow).id) if workflow else catalog.deployments()
        return answer({"deployments": [objects.deployment_object(each) for each in found]})

    @routes.get(
        f"{DEPLOY_PREFIX}/machines",
        summary="The machines of the account, with their health",
        responses={200: {"model": words.DeployMachines, "description": "All of them"}},
    )
    def machines() -> Response:
        return answer({"machines": [objects.machine_object(each) for each in surface.there.catalog.machines()]})

    _add_runs(routes, surface)
    _add_cache(routes, surface)
    _add_webhook(routes, surface)
    return routes


def _add_runs(routes: APIRouter, surface: Surface) -> None:
    @routes.post(
        f"{DEPLOY_PREFIX}/runs",
        summary="Run a deployment, or a workflow by name, as a job",
        description="Inputs are checked by the deployment's types before the job is kept.",
        status_code=202,
        responses={202: {"model": words.DeployRunAccepted, "description": "It is kept and in line"}},
        openapi_extra=submissions.documented(words.DeployRunRequest),
    )
    async def run(request: Request, body: JsonBody) -> Response:
        validated(words.DeployRunRequest, body)
        _ = surface.there
        accepted = await submissions.submit(surface.service, request, submissions.native(_native(body)))
        place = f"{DEPLOY_PREFIX}/runs/{accepted.job.id}"
        headers = {"Location": place, **(submissions.REPLAYED if accepted.replayed else {})}
        return answer({"job_id": accepted.job.id, "status": "pending", "status_url": place}, 202, headers)

    @routes.get(
        f"{DEPLOY_PREFIX}/runs",
        summary="Runs, newest first",
        responses={200: {"model": words.DeployRuns, "description": "One page of them"}},
    )
    def runs(
        limit: Annotated[int, Query(ge=1, le=1000, examples=[100])] = 100,
        cursor: Annotated[str | None, Query(description="`next` of the page before", examples=[CURSOR_EXAMPLE])] = None,
    ) -> Response:
        page = surface.service.list(JobFilter(target=DEPLOY), limit, cursor_of(cursor))
        return answer({"runs": [objects.run_object(job) for job in page.jobs], "next": text_of(page.next)})

    @routes.get(
        f"{DEPLOY_PREFIX}/runs/{{job_id}}",
        summary="A run",
        responses={200: {"model": words.DeployRun, "description": "How it stands"}},
    )
    def one_run(job_id: str) -> Response:
        return answer(objects.run_object(surface.job(job_id)))

    @routes.post(
        f"{DEPLOY_PREFIX}/runs/{{job_id}}/cancel",
        summary="Stop a run, here and there",
        responses={200: {"model": words.DeployRun, "description": "How it stands; it may take a moment to stop"}},
    )
    def cancel(job_id: str) -> Response:
        return answer(objects.run_object(surface.service.cancel(surface.job(job_id).id)))

    @routes.get(
        f"{DEPLOY_PREFIX}/runs/{{job_id}}/outputs",
        summary="What a run has made",
        responses={200: {"model": words.DeployOutputs, "description": "Links to its files, and its texts"}},
    )
    def outputs(request: Request, job_id: str) -> Response:
        job = surface.job(job_id)
        if not job.is_terminal:
            raise JobNotReady(f"Run {job.id} has not ended yet.")
        return job_answer(surface.service, job, objects.outputs_object, surface.links.of(request))


def _add_cache(routes: APIRouter, surface: Surface) -> None:
    @routes.get(
        f"{DEPLOY_PREFIX}/cache",
        summary="How old what is known of the account is",
        responses={200: {"model": words.DeployCache, "description": "Each list"}},
    )
    def cache() -> Response:
        return answer(surface.there.catalog.facts())

    @routes.post(
        f"{DEPLOY_PREFIX}/cache/invalidate",
        summary="Have it asked for anew, by all gateways that share it",
        responses={200: {"model": words.DeployCache, "description": "Each list; the next look asks"}},
        openapi_extra=request_body(words.InvalidateRequest, required=False),
    )
    def invalidate(body: OptionalJsonBody) -> Response:
        lists = validated(words.InvalidateRequest, body).lists
        catalog = surface.there.catalog
        catalog.invalidate(lists or ("workflows", "deployments", "machines"))
        return answer(catalog.facts())


def _add_webhook(routes: APIRouter, surface: Surface) -> None:
    async def waited_for(marker: str) -> None:
        if not surface.there.news.is_expected(marker):
            raise JobNotFound("No run of this worker waits for this; it is looked at without.")

    @routes.post(
        f"{DEPLOY_WEBHOOK}/{{marker}}",
        summary="Where ComfyUI Deploy tells of runs",
        description="Its webhooks are unsigned: all they do is have this worker ask for the run.",
        status_code=204,
        response_class=Response,
        # Before the body is read: nobody else may have this worker read what he sends.
        dependencies=[Depends(waited_for)],
        openapi_extra=request_body(words.RunEvent),
    )
    async def webhook(marker: str, body: JsonBody) -> Response:
        deploy = surface.there
        deploy.news.told(marker, body)
        lists = _stale(body)
        if lists:
            await run_in_threadpool(deploy.catalog.invalidate, lists)
        return Response(status_code=204)


def _stale(body: Mapping[str, Any]) -> list[str]:
    kind = str(body.get("event_type") or "").partition(".")[0]
    if kind in _STALE:
        return [_STALE[kind]]
    return ["machines"] if body.get("status") in _FAILED else []


def _native(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body as a job of the worker's own words."""
    around = {key: value for key, value in body.items() if key in _QUEUE or key in _BESIDES}
    return {**around, "deployment": {key: value for key, value in body.items() if key not in around}}
