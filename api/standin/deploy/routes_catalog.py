"""Workflows, deployments and machines, in today's words."""

from typing import Any

from aiohttp import web

from . import answers
from .account import Account, Row, known_id, machine, now
from .answers import Refused, body_of, checked_id, paged

_MACHINE_TYPES = ("classic", "runpod-serverless", "modal-serverless", "comfy-deploy-serverless", "workspace")


class CatalogRoutes:
    def __init__(self, account: Account) -> None:
        self._account = account

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/workflows", self.workflows),
            web.get("/workflows/all", self.all_workflows),
            web.get("/workflow/{id}", self.workflow),
            web.get("/workflow/{id}/versions", self.versions),
            web.get("/workflow/{id}/version/{number}", self.version),
            web.get("/workflow-version/{id}", self.version_by_id),
            web.get("/workflow/{id}/deployments", self.workflow_deployments),
            web.get("/deployments", self.deployments),
            web.get("/deployment/{id}", self.deployment),
            web.post("/deployment", self.deploy),
            web.patch("/deployment/{id}", self.change_deployment),
            web.get("/machines", self.machines),
            web.get("/machines/all", self.machines),
            web.get("/machine/{id}", self.machine),
            web.get("/machine/{id}/workflows", self.machine_workflows),
            web.post("/machine/custom", self.add_machine),
            web.patch("/machine/custom/{id}", self.change_machine),
        ]

    async def workflows(self, request: web.Request) -> web.Response:
        wanted, machine_id = request.query.get("search", "").lower(), request.query.get("machine_id")
        rows = [each.listed() for each in self._account.workflows if wanted in each.name.lower()]
        return answers.row(paged([row for row in rows if machine_id in (None, row["selected_machine_id"])], request))

    async def all_workflows(self, request: web.Request) -> web.Response:
        return answers.row([each.row() for each in self._account.workflows])

    async def workflow(self, request: web.Request) -> web.Response:
        found = self._workflow(request)
        return answers.row({**found.row(), "versions": [found.version()]})

    async def versions(self, request: web.Request) -> web.Response:
        return answers.row([self._workflow(request).version()])

    async def version(self, request: web.Request) -> web.Response:
        found = self._workflow(request)
        if request.match_info["number"] != "1":
            raise Refused(404, "Workflow version not found")
        return answers.row(found.version())

    async def version_by_id(self, request: web.Request) -> web.Response:
        found = self._account.by_version(checked_id(request.match_info["id"], "path", "version"))
        if found is None:
            raise Refused(404, "Workflow version not found")
        return answers.row(found.version())

    async def workflow_deployments(self, request: web.Request) -> web.Response:
        found = self._workflow(request)
        rows = [row for row in self._account.deployments if row["workflow_id"] == found.id]
        if not rows:
            raise Refused(404, "Deployments not found")
        return answers.row([_shown(row) for row in rows])

    async def deployments(self, request: web.Request) -> web.Response:
        environment = request.query.get("environment")
        fluid = request.query.get("is_fluid", "false").lower() == "true"
        rows = [row for row in self._account.deployments if bool(row.get("fluid")) is fluid]
        rows = [_shown(row) for row in rows if environment in (None, row["environment"])]
        return answers.row(paged(rows, request, "page_size"))

    async def deployment(self, request: web.Request) -> web.Response:
        found = self._account.deployment(request.match_info["id"])
        # A missing one is a 500 there, not a 404.
        return answers.row(_shown(found)) if found else answers.detail(500, "Internal server error")

    async def deploy(self, request: web.Request) -> web.Response:
        given = await body_of(request)
        workflow = self._account.by_version(checked_id(given.get("workflow_version_id"), "body", "workflow_version_id"))
        machine = self._account.machine(checked_id(given.get("machine_id"), "body", "machine_id"))
        if workflow is None or machine is None:
            raise Refused(404, "Workflow version not found" if workflow is None else "Machine not found")
        self._account.deploy(workflow, machine["name"], str(given.get("environment", "production")))
        return answers.row(_shown(self._account.deployments[-1]))

    async def change_deployment(self, request: web.Request) -> web.Response:
        found = self._account.deployment(request.match_info["id"])
        if found is None:
            raise Refused(404, "Deployment not found")
        given = await body_of(request)
        found |= {
            key: given[key] for key in ("machine_id", "workflow_version_id", "gpu", "description") if key in given
        }
        found["updated_at"] = now()
        return answers.row(_shown(found))

    async def machines(self, request: web.Request) -> web.Response:
        wanted = request.query.get("search", "").lower()
        rows = [_public(row) for row in self._account.machines if wanted in row["name"].lower()]
        return answers.row(rows if request.path.endswith("/all") else paged(rows, request))

    async def machine(self, request: web.Request) -> web.Response:
        return answers.row(_public(self._machine(request)))

    async def machine_workflows(self, request: web.Request) -> web.Response:
        found = self._machine(request)
        rows = [each.listed() for each in self._account.workflows]
        return answers.row([row for row in rows if row["selected_machine_id"] == found["id"]])

    async def add_machine(self, request: web.Request) -> web.Response:
        given = await body_of(request)
        if given.get("type") not in _MACHINE_TYPES:
            answers.invalid("enum", ["body", "type"], f"Input should be one of {_MACHINE_TYPES}", given.get("type"))
        made = machine(str(given["name"]), str(given["type"]), endpoint=given["endpoint"])
        made |= {"id": known_id(f"{made['name']} at {made['endpoint']}"), "auth_token": given.get("auth_token")}
        self._account.machines[:] = [row for row in self._account.machines if row["id"] != made["id"]] + [made]
        return answers.row(made)

    async def change_machine(self, request: web.Request) -> web.Response:
        found = self._machine(request)
        given = await body_of(request)
        # `status` is the stand-in's own: there it comes from the machine's health.
        fields = ("name", "type", "endpoint", "auth_token", "status", "disabled")
        found |= {key: given[key] for key in fields if key in given}
        return answers.row(_public(found))

    def _workflow(self, request: web.Request) -> Any:
        found = self._account.workflow(checked_id(request.match_info["id"], "path", "workflow_id"))
        if found is None:
            raise Refused(404, "Workflow not found")
        return found

    def _machine(self, request: web.Request) -> Row:
        found = self._account.machine(checked_id(request.match_info["id"], "path", "machine_id"))
        if found is None:
            raise Refused(404, "Machine not found")
        return found


def _shown(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "fluid"}


def _public(row: Row) -> Row:
    return {**row, "auth_token": None}
