"""The first generation's words, which SDKs up to 0.4 speak."""

from aiohttp import web

from . import answers
from .account import Account, Row, Workflow


class OldRoutes:
    def __init__(self, account: Account) -> None:
        self._account = account

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/workflows", self.workflows),
            web.get("/v1/machines", self.machines),
            web.get("/deployment", self.deployments),
        ]

    async def workflows(self, request: web.Request) -> web.Response:
        rows = [_workflow(each, len(self._account.workflows)) for each in self._account.workflows]
        return answers.row(_page(rows, request))

    async def machines(self, request: web.Request) -> web.Response:
        names = ("id", "name", "type", "status")
        rows = [{**{key: row[key] for key in names}, "endpoints": [row["endpoint"]]} for row in self._account.machines]
        return answers.row({"machines": _page(rows, request), "total": len(rows)})

    async def deployments(self, request: web.Request) -> web.Response:
        environment = request.query.get("environment", "production")
        rows = [row for row in self._account.deployments if row["environment"] == environment]
        return answers.row([_deployment(row) for row in rows])


def _workflow(workflow: Workflow, count: int) -> Row:
    names = ("id", "updated_at", "name", "selected_machine_id")
    row = {key: workflow.row()[key] for key in names}
    more = {"versions": [{"id": workflow.version_id, "version": 1}], "deployments": [], "runs": []}
    return {**row, "count": str(count), "user": {"name": "standin"}, **more}


def _deployment(row: Row) -> Row:
    names = ("class_type", "input_id", "default_value")
    inputs = [{key: each[key] for key in names} for each in row["input_types"]]
    return {"deployment_id": row["id"], "name": row["workflow"]["name"], "inputs_definition": inputs}


def _page(rows: list[Row], request: web.Request) -> list[Row]:
    page, size = int(request.query.get("page", 1)), int(request.query.get("pageSize", 12))
    return rows[(page - 1) * size : page * size]
