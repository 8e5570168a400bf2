"""Which deployment, or which version on which machine, a job's wish comes to. Never elsewhere than was asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..deploy_errors import DeployMachineUnfit, DeployNotFound
from ..ids import JobId
from ..jobs.request import DeploymentSpec
from .catalog import Catalog
from .client import DeployClient
from .inputs import types_of
from .rows import Deployment, InputType, Machine

# Where several deployments would do.
_ENVIRONMENTS = ("production", "staging", "preview", "private-share", "public-share", "community-share")

# The machine that a workflow of that name is routed to, by the job's id among several; None where no rule names one.
RouteMachine = Callable[[str, JobId], str | None]


@dataclass(frozen=True, slots=True)
class Plan:
    """`deployment` is None when the version runs on the machine without one."""

    workflow_id: str
    workflow_name: str
    version_id: str
    machine: Machine
    types: tuple[InputType, ...]
    deployment: Deployment | None
    why: str


@dataclass(frozen=True, slots=True)
class _Wish:
    """What was asked for, found: `own` is the deployment that was named, `others` those that would do as well."""

    workflow_id: str
    workflow_name: str
    version_id: str
    own: Deployment | None
    others: tuple[Deployment, ...]
    graph: Any = None
    machine_id: str | None = None


class Planner:
    """Asks the catalogue, and ComfyUI Deploy itself for what is not in it."""

    def __init__(self, catalog: Catalog, client: DeployClient, route: RouteMachine) -> None:
        self._catalog = catalog
        self._client = client
        self._route = route

    def soon(self) -> "Planner":
        """The same for whoever has a caller waiting: it asks for seconds at most."""
        return Planner(self._catalog.soon(), self._client.quick(), self._route)

    def workflow_name(self, spec: DeploymentSpec) -> str:
        """What the workflow is called that is asked for. Raises DeployError."""
        return self._wish(spec).workflow_name

    def plan(self, spec: DeploymentSpec, job_id: JobId, machine_id: str | None) -> Plan:
        """Raises DeployNotFound, DeployMachineUnfit, DeployError; Forbidden where routing says so."""
        wish = self._wish(spec)
        wanted = spec.machine_id or machine_id
        why = "the request names it"
        if not wanted:
            wanted, why = self._route(wish.workflow_name, job_id), "the routing rules name it"
        return self._on(self._catalog.machine(wanted), wish, why) if wanted else self._anywhere(wish)

    def _wish(self, spec: DeploymentSpec) -> _Wish:
        if spec.deployment_id:
            own = self._catalog.deployment(spec.deployment_id)
            return _Wish(own.workflow_id, own.workflow_name, own.version_id, own, self._of_version(own.version_id))
        if spec.workflow_version_id:
            return self._version(spec.workflow_version_id)
        workflow = self._catalog.workflow(spec.workflow_id or spec.name)
        others = tuple(self._catalog.deployments_of(workflow.id))
        return _Wish(workflow.id, workflow.name, "", None, others, machine_id=workflow.machine_id)

    def _version(self, version_id: str) -> _Wish:
        others = self._of_version(version_id)
        if others:
            return _Wish(others[0].workflow_id, others[0].workflow_name, version_id, None, others)
        row = self._client.version(version_id)
        workflow = self._catalog.workflow(str(row.get("workflow_id")))
        graph = row.get("workflow_api")
        return _Wish(workflow.id, workflow.name, version_id, None, (), graph, workflow.machine_id)

    def _of_version(self, version_id: str) -> tuple[Deployment, ...]:
        return tuple(each for each in self._catalog.deployments() if each.version_id == version_id)

    def _on(self, machine: Machine, wish: _Wish, why: str) -> Plan:
        """The deployment that is bound to the machine, else the version on it."""
        if machine.trouble:
            raise DeployMachineUnfit(
                f"{wish.workflow_name} is to run on machine {machine.name} ({why}), but {machine.trouble}; "
                "name another one with machine_id, or have the rules changed."
            )
        candidates = [wish.own, *wish.others] if wish.own else _by_environment(wish.others)
        for each in candidates:
            if each is not None and each.machine_id == machine.id:
                return _of_deployment(each, machine, f"the deployment bound to {machine.name}: {why}")
        told = f"no deployment is bound to {machine.name}, so the version runs there: {why}"
        return self._without_deployment(machine, wish, told)

    def _anywhere(self, wish: _Wish) -> Plan:
        """Nobody says where: the deployment that was named, or the best that can run; else the workflow's machine."""
        candidates = (wish.own,) if wish.own else _first_environment(wish.others)
        troubles = []
        for each in candidates:
            machine = self._catalog.machine(each.machine_id)
            if machine.trouble is None:
                return _of_deployment(each, machine, f"the deployment of {each.environment} on {machine.name}")
            troubles.append(f"{machine.name}: {machine.trouble}")
        if troubles:
            raise DeployMachineUnfit(
                f"{wish.workflow_name} cannot run where it is deployed ({'; '.join(troubles)}); "
                "name another machine with machine_id."
            )
        if not wish.machine_id:
            raise DeployMachineUnfit(f"{wish.workflow_name} has neither a deployment nor a machine; name a machine_id.")
        return self._on(self._catalog.machine(wish.machine_id), wish, "it is the workflow's own")

    def _without_deployment(self, machine: Machine, wish: _Wish, why: str) -> Plan:
        described = wish.own or next(iter(_by_environment(wish.others)), None)
        if described is not None:
            return replace(_of_deployment(described, machine, why), deployment=None)
        version_id, graph = wish.version_id, wish.graph
        if not version_id:
            version_id, graph = self._newest(wish)
        types = types_of(graph) if isinstance(graph, dict) else ()
        return Plan(wish.workflow_id, wish.workflow_name, version_id, machine, types, None, why)

    def _newest(self, wish: _Wish) -> tuple[str, Any]:
        versions = self._client.workflow(wish.workflow_id).get("versions")
        rows = [row for row in versions if isinstance(row, dict)] if isinstance(versions, list) else []
        if not rows:
            raise DeployNotFound(f"{wish.workflow_name} has no version that could run.")
        newest = max(rows, key=lambda row: row.get("version") or 0)
        return str(newest.get("id")), newest.get("workflow_api")


def _of_deployment(deployment: Deployment, machine: Machine, why: str) -> Plan:
    names = (deployment.workflow_id, deployment.workflow_name, deployment.version_id)
    return Plan(*names, machine, deployment.inputs, deployment, why)


def _by_environment(deployments: Sequence[Deployment]) -> list[Deployment]:
    rank = {word: at for at, word in enumerate(_ENVIRONMENTS)}
    return sorted(deployments, key=lambda each: (rank.get(each.environment, len(rank)), each.id))


def _first_environment(deployments: Sequence[Deployment]) -> list[Deployment]:
    """Those of the best environment there is: staging is no spare for production."""
    ordered = _by_environment(deployments)
    return [each for each in ordered if each.environment == ordered[0].environment]
