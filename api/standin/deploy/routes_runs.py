"""Runs: queue, look, cancel, upload; and what a machine of the user's own reports with."""

import mimetypes
import secrets
import uuid
from typing import Any

from aiohttp import web

from ..faults import Faults
from . import answers
from .account import Account, Row, Workflow
from .answers import Refused, body_of, checked_id
from .runs import ENDED, Run, Runs

_UPLOADED = ("image", "video", "audio", "application")
# Those that sleep wake up for it.
_USABLE = ("ready", "running", "paused", "starting", "not-started")
_MOST_BYTES = 250 * 1024 * 1024
_GPUS = ("CPU", "T4", "L4", "A10G", "L40S", "A100", "A100-80GB", "H100", "H200", "B200")


class RunRoutes:
    def __init__(self, account: Account, runs: Runs, faults: Faults) -> None:
        self._account = account
        self._runs = runs
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/run/deployment/queue", self.queue_deployment),
            web.post("/run/workflow/queue", self.queue_workflow),
            web.post("/run", self.queue_any),
            web.get("/run", self.old_status),
            web.get("/run/{id}", self.status),
            web.get("/v2/workflow/{id}/runs", self.runs_of),
            web.post("/run/{id}/cancel", self.cancel),
            web.post("/file/upload", self.upload),
            web.post("/update-run", self.update),
            web.get("/file-upload", self.upload_url),
        ]

    async def queue_deployment(self, request: web.Request) -> web.StreamResponse:
        return await self._of_deployment(request, await body_of(request))

    async def queue_workflow(self, request: web.Request) -> web.StreamResponse:
        given = await body_of(request)
        workflow = self._account.workflow(checked_id(given.get("workflow_id"), "body", "workflow_id"))
        if workflow is None:
            raise Refused(404, "Workflow not found")
        graph = given.get("workflow_api_json")
        if not isinstance(graph, dict):
            answers.invalid("dict_type", ["body", "workflow_api_json"], "Input should be a valid dictionary", graph)
        machine = self._machine(given.get("machine_id"), workflow)
        return await self._begun(request, given, workflow, machine, graph=graph)

    async def queue_any(self, request: web.Request) -> web.StreamResponse:
        """The old union: whichever of its ids is there says what it is."""
        given = await body_of(request)
        if "workflow_version_id" not in given:
            return await self._of_deployment(request, given)
        workflow = self._account.by_version(checked_id(given["workflow_version_id"], "body", "workflow_version_id"))
        if workflow is None:
            raise Refused(404, "Workflow version not found")
        return await self._begun(request, given, workflow, self._machine(given.get("machine_id"), workflow))

    async def status(self, request: web.Request) -> web.Response:
        run = self._runs.get(request.match_info["id"])
        if run is None or self._faults.take("lose_runs"):
            raise Refused(404, "Run not found")
        waits = [each.id for each in self._runs.all() if each.status in ("not-started", "queued")]
        asked = request.query.get("queue_position", "").lower() == "true"
        place = waits.index(run.id) if asked and run.id in waits else None
        return answers.row(run.row(old=bool(self._faults.value("old_rows")), queue_position=place))

    async def runs_of(self, request: web.Request) -> web.Response:
        """Newest first, in short: without what they were given and what came out."""
        workflow_id = checked_id(request.match_info["id"], "path", "workflow_id")
        rows = [run.row() for run in reversed(self._runs.all()) if run.workflow.id == workflow_id]
        hidden = {"webhook", "workflow_inputs", "outputs", "live_status", "progress", "queue_position", "machine_id"}
        short = [{key: value for key, value in row.items() if key not in hidden} for row in rows]
        return answers.row(answers.paged(short, request))

    async def old_status(self, request: web.Request) -> web.Response:
        run = self._runs.get(checked_id(request.query.get("run_id"), "query", "run_id"))
        if run is None:
            raise Refused(404, "Run not found")
        return answers.row(run.row(old=True))

    async def cancel(self, request: web.Request) -> web.Response:
        run = self._runs.get(request.match_info["id"])
        if self._faults.take("cancel_500") or run is None or run.task is None:
            return answers.detail(500, "Error cancelling function: 404: Run not found or has no modal function call ID")
        self._runs.cancel(run)
        return answers.row({"status": "success", "message": "Function cancelled"})

    async def upload(self, request: web.Request) -> web.Response:
        part = await _file_part(request)
        kind = (part.headers.get("Content-Type") or mimetypes.guess_type(part.filename or "")[0] or "").split("/")[0]
        if kind not in _UPLOADED:
            raise Refused(400, "Unsupported file type")
        content = await part.read(decode=False)
        if len(content) > _MOST_BYTES:
            raise Refused(400, "File too large")
        file_id = f"{kind[:3]}_{secrets.token_hex(8)}"
        self._runs.files[f"inputs/{file_id}"] = bytes(content)
        url = f"{_origin(request)}/files/inputs/{file_id}"
        told = {"message": "File uploaded successfully", "file_id": file_id, "file_name": part.filename}
        return answers.row({**told, "file_url": url})

    async def update(self, request: web.Request) -> web.Response:
        given = await body_of(request)
        run = self._own(request, given.get("run_id"))
        if given.get("live_status") is not None:
            self._runs.change(run, run.status, given.get("progress"), str(given["live_status"]))
        elif given.get("output_data") is not None:
            self._runs.put_out(run, given["output_data"], given.get("node_meta"), None)
        elif given.get("status") is not None:
            status = str(given["status"])
            self._runs.change(run, status, 1 if status == "success" else None)
        return answers.row({"status": "success"})

    async def upload_url(self, request: web.Request) -> web.Response:
        run = self._own(request, request.query.get("run_id"))
        place = f"outputs/runs/{run.id}/{request.query['file_name']}"
        url = f"{_origin(request)}/files/{place}"
        signed = f"{url}?X-Amz-Signature={run.token[-12:]}"
        return answers.row({"url": signed, "download_url": url, "include_acl": True, "is_public": True})

    def _own(self, request: web.Request, run_id: Any) -> Run:
        run = self._runs.get(checked_id(run_id, "run_id"))
        if run is None:
            raise Refused(404, "WorkflowRun not found")
        if request.headers.get("Authorization") != f"Bearer {run.token}":
            raise Refused(401, "Invalid or expired token")
        return run

    async def _of_deployment(self, request: web.Request, given: Row) -> web.StreamResponse:
        deployment = self._account.deployment(checked_id(given.get("deployment_id"), "body", "deployment_id"))
        if deployment is None:
            raise Refused(404, "Deployment not found")
        workflow = self._account.by_version(deployment["workflow_version_id"])
        assert workflow is not None
        machine = self._machine(deployment["machine_id"], workflow)
        return await self._begun(request, given, workflow, machine, deployment=deployment)

    def _machine(self, machine_id: Any, workflow: Workflow) -> Row:
        wanted = machine_id or workflow.row()["selected_machine_id"]
        found = self._account.machine(checked_id(wanted, "body", "machine_id"))
        if found is None:
            raise Refused(404, "Machine not found")
        return found

    async def _begun(
        self, request: web.Request, given: Row, workflow: Workflow, machine: Row, **more: Any
    ) -> web.StreamResponse:
        _check_inputs(given)
        if self._faults.take("refuse_runs"):
            raise Refused(403, "Insufficient credits")
        if given.get("batch_number", 1) > 1:
            return answers.row({"status": "success", "batch_id": str(uuid.uuid4())})
        run = self._runs.add(
            workflow=workflow,
            machine=machine,
            inputs=given.get("inputs") or {},
            origin=_origin(request),
            webhook=given.get("webhook"),
            intermediate=bool(given.get("webhook_intermediate_status")),
            gpu=given.get("gpu"),
            **more,
        )
        if machine["type"] in ("classic", "runpod-serverless"):
            refused = await self._runs.hand_over(run)
            if refused:
                self._runs.change(run, "failed")
                raise Refused(*refused)
        elif machine["status"] not in _USABLE:
            raise Refused(400, f"Machine is not ready: {machine['status']}")
        else:
            self._runs.begin(run)
        if self._faults.take("drop_answer"):
            assert request.transport is not None
            request.transport.abort()
            raise ConnectionResetError("drop_answer")
        return answers.row({"run_id": run.id})


def _check_inputs(given: Row) -> None:
    inputs = given.get("inputs")
    if inputs is not None and not isinstance(inputs, dict):
        answers.invalid("dict_type", ["body", "inputs"], "Input should be a valid dictionary", inputs)
    for name, value in (inputs or {}).items():
        if not isinstance(value, str | int | float | bool | list):
            answers.invalid("string_type", ["body", "inputs", name, "str"], "Input should be a valid string", value)
    if given.get("gpu") is not None and given["gpu"] not in _GPUS:
        answers.invalid("enum", ["body", "gpu"], f"Input should be one of {_GPUS}", given["gpu"])


async def _file_part(request: web.Request) -> Any:
    if not request.content_type.startswith("multipart/"):
        answers.invalid("missing", ["body", "file"], "Field required", None)
    async for part in await request.multipart():
        if getattr(part, "name", None) == "file":
            return part
    return answers.invalid("missing", ["body", "file"], "Field required", None)


def _origin(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


__all__ = ["ENDED", "RunRoutes"]
