"""Named workflows as calls: a picture in, a picture out; what they are, and what each takes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.routing import Match
from starlette.types import ASGIApp, Scope

from ..errors import ComfyError, InvalidInput, WorkflowNotFound
from ..jobs.job import Job, Status
from ..jobs.service import JobService
from ..jobs.submission import Accepted, in_words_of
from ..workflows.binding import INPUTS, NAME, FileLimits
from ..workflows.manifest import file_inputs
from ..workflows.named import NamedWorkflow
from ..workflows.registry import Entry, Registry
from . import named_answers, submissions
from .answers import answer
from .links import OutputLinks
from .named_call import Call, flag, reading
from .named_view import Availability, WorkflowEntry, WorkflowList, entry_object

Format = Literal["base64", "url", "binary"]
# Whether a ComfyUI has what the workflow needs. Raises ComfyError when none can be asked.
Available = Callable[[NamedWorkflow], Availability]
_PREFIX = f"{INPUTS}."


def router(
    service: JobService,
    registry: Registry,
    limits: FileLimits,
    links: OutputLinks,
    available: Available,
    max_wait_s: float,
) -> APIRouter:
    """/api/workflows, /api/{workflow} and /api/async/{workflow}: to be included after all other paths below /api."""
    routes = APIRouter(tags=["workflows"])
    calls = _Calls(service, registry, limits, links, max_wait_s)

    @routes.get(
        "/api/workflows",
        summary="The named workflows",
        responses={200: {"model": WorkflowList, "description": "All of them, with what each takes"}},
    )
    def list_workflows() -> Response:
        entries = registry.entries()
        found = _availabilities([entry.workflow for entry in entries], available)
        objects = [entry_object(entry, each, limits) for entry, each in zip(entries, found, strict=True)]
        return answer({"workflows": objects})

    @routes.get(
        "/api/workflows/{name}",
        summary="One named workflow",
        responses={200: {"model": WorkflowEntry, "description": "What it takes"}},
    )
    def one_workflow(name: str) -> Response:
        entry = _entry(registry, name)
        (availability,) = _availabilities([entry.workflow], available)
        return answer(entry_object(entry, availability, limits))

    # Each workflow's own schema comes into the document by named_view.documented.
    @routes.post("/api/async/{name}", include_in_schema=False)
    async def call_async(request: Request, name: str) -> Any:
        return await calls.answered(request, name, is_async=True)

    async def call(
        request: Request,
        name: str,
        wanted: Annotated[Format | None, Query(alias="format")] = None,
        wait: Annotated[float | None, Query(gt=0, allow_inf_nan=False)] = None,
        mode: str | None = None,
    ) -> Any:
        is_async = flag("async", request.query_params.get("async")) or mode == "async"
        return await calls.answered(request, name, is_async=is_async, wanted=wanted, wait_s=wait)

    def is_known(name: str) -> bool:
        return any(entry.name == name for entry in registry.entries())

    routes.routes.append(_WorkflowRoute("/api/{name}", call, is_known))
    return routes


class _WorkflowRoute(APIRoute):
    """Takes POST for every name, so that a misspelled one can be answered; other methods only exist where it does."""

    def __init__(self, path: str, endpoint: Callable[..., Any], is_known: Callable[[str], bool]) -> None:
        super().__init__(path, endpoint, methods=["POST"], include_in_schema=False)
        self._is_known = is_known

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Starlette's."""
        match, child = super().matches(scope)
        if match is Match.PARTIAL and not self._is_known(child["path_params"]["name"]):
            return Match.NONE, {}
        return match, child


class _Calls:
    """Makes jobs of calls, and answers with what becomes of them."""

    def __init__(
        self, service: JobService, registry: Registry, limits: FileLimits, links: OutputLinks, max_wait_s: float
    ) -> None:
        self._service = service
        self._registry = registry
        self._limits = limits
        self._links = links
        self._max_wait_s = max_wait_s

    async def answered(
        self, request: Request, name: str, *, is_async: bool, wanted: Format | None = None, wait_s: float | None = None
    ) -> Response | ASGIApp:
        """The answer to a call. Raises what the reading, the binding and the service do."""
        workflow = await run_in_threadpool(self._registry.get, name)
        async with reading(request, workflow.manifest, self._limits) as call:
            is_async = is_async or call.is_async
            accepted = await self._submit(call, workflow, waits=not is_async)
            places = _sent_files(call, workflow)
        headers = submissions.REPLAYED if accepted.replayed else {}
        if is_async:
            return named_answers.accepted(accepted.job, headers)
        known = None if accepted.replayed else accepted.job
        wait_s = min(wait_s or self._max_wait_s, self._max_wait_s)
        job = await self._service.wait(accepted.job.id, wait_s, known, request.is_disconnected)
        if not job.is_terminal:
            return named_answers.accepted(job, headers)
        if job.status is not Status.SUCCEEDED:
            return await named_answers.failure(request, job, places)
        if wanted is None and named_answers.prefers_file(request.headers.get("accept", "")):
            wanted = "binary"
        return await run_in_threadpool(self._result, request, job, workflow, wanted, headers)

    async def _submit(self, call: Call, workflow: NamedWorkflow, *, waits: bool) -> Accepted:
        around = {key: value for key, value in call.around.items() if key != "async"}
        submission = submissions.native({**around, NAME: workflow.name, INPUTS: dict(call.inputs)})
        submission = replace(submission, files=call.files, waits=waits)
        try:
            return await submissions.submit(self._service, call.request, submission, call.fingerprint)
        except InvalidInput as error:
            in_words_of(_sent_names(error, call), error)
            raise

    def _result(
        self, request: Request, job: Job, workflow: NamedWorkflow, wanted: Format | None, headers: dict[str, str]
    ) -> Response:
        if wanted == "binary":
            return named_answers.file(self._service, job, workflow, headers)
        link = self._links.of(request) if wanted == "url" else None
        return named_answers.result(self._service, job, workflow, link, headers)


def _sent_names(error: InvalidInput, call: Call) -> dict[str, str]:
    """The caller's names by those of the job: they sent no `inputs`."""
    fields = [detail.get("field", "") for detail in error.details]
    names = [name.removeprefix(_PREFIX) for name in fields if name.startswith(_PREFIX)]
    return {f"{_PREFIX}{name}": call.sent_as.get(name, name) for name in names}


def _sent_files(call: Call, workflow: NamedWorkflow) -> dict[str, str]:
    """The caller's names of its files by where they stand in the job."""
    given = [name for name in file_inputs(workflow.manifest) if call.inputs.get(name) is not None]
    return {f"images.{index}.image": call.sent_as.get(name, name) for index, name in enumerate(given)}


def _entry(registry: Registry, name: str) -> Entry:
    for entry in registry.entries():
        if entry.name == name:
            return entry
    registry.get(name)
    raise WorkflowNotFound(f"There is no workflow {name[:64]!r}.")


def _availabilities(workflows: list[NamedWorkflow | None], available: Available) -> list[Availability]:
    """One for each; once no ComfyUI could be asked, none is asked again."""
    found: list[Availability] = []
    unreachable: Availability | None = None
    for workflow in workflows:
        if workflow is None:
            found.append(Availability(available=False))
            continue
        if unreachable is None:
            try:
                found.append(available(workflow))
                continue
            except ComfyError as error:
                unreachable = Availability(available=None, missing=[{"message": error.message, "code": error.code}])
        found.append(unreachable)
    return found
