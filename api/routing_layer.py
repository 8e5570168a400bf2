"""Routing put to use: where a job of this worker is placed by the rules, what is up, and why, for whoever asks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from .errors import Detail, InvalidInput, WorkerError, WorkflowUnusable
from .jobs.placement import LOCAL, Arrival, Placement, Places
from .jobs.ports import Workflow
from .jobs.request import DeploymentSpec
from .pool.gpu_type import PREFIX
from .pool.roster import Roster
from .settings import Settings
from .wiring import Services
from .workflows.facts import models
from .workflows.format import graph_in
from .workflows.live_file import LiveFile
from .workflows.named import NamedWorkflow
from .workflows.naming_table import Naming, Standardized
from .workflows.overrides import apply_overrides
from .workflows.registry import Registry
from .workflows.routing import DEPLOY, REQUEST, Ask, Destination, Route, Rule
from .workflows.routing_file import Router, placed

# Rules look at so many models of one job: none that anybody runs has more.
_MOST_MODELS = 200
Kind = Literal["workflow", "deployment"]


def _unknown_target(name: str) -> str | None:
    return f"this worker has no target {name}"


def _not_watched(_machine: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Explaining:
    """A job as it would be submitted, as far as rules look at it."""

    workflow_name: str | None = None
    workflow: Mapping[str, Any] = field(default_factory=dict, repr=False)
    models: Sequence[str] = ()
    gpu: str | None = None
    machine_id: str | None = None
    job_id: str = ""
    is_operator: bool = False

    @property
    def is_graph(self) -> bool:
        """Whether it can only be a job with a workflow of its own."""
        return bool(self.workflow or self.models)


@dataclass(frozen=True, slots=True)
class Explained:
    """`kind`: what it was taken for. `rule` counts, None where the request has chosen; those of `also` fit as well."""

    kind: Kind
    name: Standardized | None
    models: Sequence[str]
    route: Route
    rule: Rule | None
    also: tuple[str, ...]


@dataclass(frozen=True)
class RoutingLayer:
    """`target_trouble` and `machine_trouble` say why a target, or a machine of ComfyUI Deploy, takes no jobs now.

    They ask nobody and are None for those that take some. `deployed_name` is what the workflow of a deployment is
    called there. Safe to share between threads.
    """

    router: Router
    names: LiveFile[Naming]
    workflows: Registry
    places: Places
    roster: Roster
    target_trouble: Callable[[str], str | None] = _unknown_target
    machine_trouble: Callable[[str], str | None] = _not_watched
    deployed_name: Callable[[DeploymentSpec], str] = lambda spec: spec.name

    def place(self, arrival: Arrival) -> Placement:
        """Where the job runs. Raises InvalidInput, Forbidden, and WorkflowUnusable for rules that lead nowhere.

        For a deployment that asks for a place also what `deployed_name` raises.
        """
        asked = self.places.of(arrival.request)
        request, tables = arrival.request, self.router.tables()
        if request.deployment is not None:
            # The rules for its workflow are asked once it is known which that is; whether it may choose, now.
            choice = Destination(DEPLOY, asked.label or "", gpu_type=request.deployment.gpu)
            if choice != Destination(DEPLOY) and tables.deployments.allow_override != "all":
                # Not by what it is called in the request: by its id it would be none that the rules know.
                name = self.deployed_name(request.deployment)
                tables.deployments.route(Ask(name, (), arrival.job_id, choice, arrival.is_operator))
            return asked
        wanted = _wanted(asked, request.machine_id)
        found = models_of(request.workflow, request.overrides) if tables.workflows.asks_for_models else ()
        ask = Ask(arrival.workflow_name, found, arrival.job_id, wanted, arrival.is_operator)
        route = tables.workflows.route(ask, self.trouble)
        if route.destination.target == DEPLOY:
            raise _not_deployed("machine_id" if request.machine_id else "gpu")
        if route.rule == REQUEST and not request.machine_id:
            return asked
        return self._placement(route)

    def explain(self, asked: Explaining) -> Explained:
        """What would become of that job. Raises InvalidInput for a `gpu` that is not there, Forbidden."""
        wanted = _wanted(self.places.named(asked.gpu.lower() if asked.gpu else None), asked.machine_id)
        found = tuple(dict.fromkeys((*asked.models, *(models_of(asked.workflow) if asked.workflow else ()))))
        named = self._named(asked.workflow_name) if asked.workflow_name and not asked.is_graph else None
        found = tuple(dict.fromkeys((*found, *(named.models if named else ()))))
        ask = Ask(named.name if named else asked.workflow_name, found, asked.job_id, wanted, asked.is_operator)
        tables = self.router.tables()
        # A name that is none of this worker's own can only be meant for ComfyUI Deploy.
        is_deployment = bool(asked.workflow_name) and not (named or asked.is_graph) and self.knows(DEPLOY)
        table = tables.deployments if is_deployment else tables.workflows
        route = table.route(ask, self.trouble)
        fitting = table.matching(ask)
        counts = next((rule for rule in fitting if rule.name == route.rule), None)
        name = self.names.get().look_up(asked.workflow_name) if asked.workflow_name else None
        kind: Kind = "deployment" if is_deployment else "workflow"
        return Explained(kind, name, found, route, counts, tuple(rule.name for rule in fitting if rule is not counts))

    def machine_for(self, workflow: str | None, job_id: str) -> str | None:
        """The machine of ComfyUI Deploy that a run of that workflow goes to; None where no rule names one.

        When all that are named are down it is the first one, of which then has to be said that it is.
        """
        route = self.router.tables().deployments.route(Ask(workflow, key=job_id), self.trouble)
        return route.destination.machine or None

    def trouble(self, destination: Destination) -> str | None:
        """Why nothing starts there now; None when it does."""
        if destination.target in {"", LOCAL}:
            return self.roster.trouble(_label(destination))
        if not self.knows(destination.target):
            return _unknown_target(destination.target)
        trouble = self.target_trouble(destination.target)
        if trouble is None and destination.target == DEPLOY and destination.machine:
            return self.machine_trouble(destination.machine)
        return trouble

    def knows(self, target: str) -> bool:
        """Whether there is such a target."""
        return target in {"", *self.places.targets}

    def problems(self) -> list[str]:
        """What is wrong with the files, for operators: also rules that lead to nothing that is there."""
        self.router.tables()
        told = [problem for problem in (self.names.problem, self.router.file.problem) if problem]
        told += [problem.message for problem in self.names.get().problems]
        return [*told, *self.router.warnings(), *dict.fromkeys(self._dead_ends())]

    def _named(self, name: str) -> NamedWorkflow | None:
        """The worker's own workflow of that name, if there is one that is sound."""
        try:
            return self.workflows.get(name)
        except WorkerError:
            return None

    def _dead_ends(self) -> Iterator[str]:
        table = self.router.tables().whole
        for rule in (*table.rules, table.default):
            for destination in destinations_of(rule):
                if not self.knows(destination.target):
                    yield f"{rule.name} leads to {destination}: {_unknown_target(destination.target)}"

    def _placement(self, route: Route) -> Placement:
        destination = route.destination
        if not self.knows(destination.target):
            raise WorkflowUnusable(f"{route.why} Have the routing file changed, or the target configured.")
        if not destination.target:
            return Placement()
        return Placement(destination.target, _label(destination), is_chosen=True)


def _not_deployed(field_name: str) -> InvalidInput:
    message = f"{field_name} asks for ComfyUI Deploy, which runs what is deployed there: send a deployment instead."
    return InvalidInput(message, [Detail(field=field_name, code="not_deployed", message=message)])


def destinations_of(rule: Rule) -> tuple[Destination, ...]:
    """All places a rule may lead to."""
    return (*(choice.destination for choice in rule.choices), *rule.fallbacks)


def models_of(workflow: object, overrides: Mapping[str, Any] | None = None) -> Sequence[str]:
    """The model files a workflow names, as far as it can be read: what is wrong with it is told elsewhere."""
    try:
        graph: Workflow = {
            str(key): {**node, "inputs": node["inputs"]}
            for key, node in graph_in(workflow).items()
            if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
        }
        graph = apply_overrides(graph, overrides) if overrides else graph
    except InvalidInput:
        return ()
    return tuple(islice(dict.fromkeys(model["name"] for model in models(graph)), _MOST_MODELS))


def _wanted(asked: Placement, machine_id: str | None) -> Destination | None:
    if machine_id:
        return placed(Destination(asked.target if asked.target != LOCAL else "", machine_id))
    if not asked.is_chosen:
        return None
    return Destination(asked.target, label=asked.label or "")


def _label(destination: Destination) -> str | None:
    """By which the members of a target are told apart in a Placement."""
    gpu = f"{PREFIX}{destination.gpu_type}" if destination.gpu_type else ""
    label = destination.machine or destination.label or gpu
    # Ids of ComfyUI Deploy are taken as they are.
    return (label if destination.target == DEPLOY else label.lower()) or None


def build_routing(
    settings: Settings,
    core: Services,
    target_trouble: Callable[[str], str | None],
    machine_trouble: Callable[[str], str | None],
    deployed_name: Callable[[DeploymentSpec], str],
) -> RoutingLayer:
    """The routing of ROUTING_FILE, under the names of WORKFLOW_NAMES."""
    router = Router(settings.routing_file, core.names.get)
    return RoutingLayer(
        router,
        core.names,
        core.workflows,
        core.places,
        core.comfy.roster,
        target_trouble,
        machine_trouble,
        deployed_name,
    )
