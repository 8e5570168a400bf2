"""The words of /api/deploy/routing: rules, places and explanations, as schemas and as JSON."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..jobs.request_fields import Fields, Sound
from ..routing_layer import Explained
from ..workflows.live_file import LiveFile
from ..workflows.routing import Choice, Destination, Rule

# Why a place takes no jobs now; None when it does.
Trouble = Callable[[Destination], str | None]
_MACHINE = "6c5d7e0f-1f0e-4d57-9d0c-6c8a0d7d6b4f"
_PLACE: dict[str, Any] = {"target": "deploy", "machine": _MACHINE, "label": "", "gpu_type": ""}
_LOCAL: dict[str, Any] = {"target": "local", "machine": "", "label": "fast", "gpu_type": ""}
_STANDING: dict[str, Any] = {"destination": _PLACE, "up": False, "reason": "its status is error"}
_NAME: dict[str, Any] = {"name": "Text To Image v2", "standard": "text2img", "by": "table", "notes": "After a text."}
_RULE: dict[str, Any] = {
    "name": "pictures",
    "workflow": "text2img",
    "model": "",
    "to": [{**_STANDING, "weight": 1.0, "share": 1.0}],
    "fallbacks": [{"destination": _LOCAL, "up": True, "reason": None}],
    "note": "",
}
_DEFAULT_RULE: dict[str, Any] = {
    **_RULE,
    "name": "default",
    "workflow": "",
    "to": [{"destination": _LOCAL, "up": True, "reason": None, "weight": 1.0, "share": 1.0}],
    "fallbacks": [],
}
_FILE: dict[str, Any] = {"file": "routing.json", "loaded_at": 1704067200.0, "problem": None}


def _example(data: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": data})


class ExplainRequest(Fields):
    """A job as it would be submitted, as far as rules look at it: a name, or a workflow, or the models it needs.

    `job_id` decides among places with weights; without one they are told with their shares.
    """

    model_config = _example({"workflow_name": "Text To Image v2", "models": ["flux1-dev.safetensors"]})
    workflow_name: Annotated[Sound, Field(max_length=256)] = Field("", description="What the workflow is called")
    workflow: dict[str, Any] = Field(
        default_factory=dict, description="The workflow in API format, for its name and models"
    )
    models: list[Annotated[Sound, Field(max_length=512)]] = Field(
        default=[], max_length=200, description="File names of the models it needs"
    )
    gpu: Annotated[Sound, Field(max_length=100)] = Field("", description="As in a job")
    machine_id: Annotated[Sound, Field(max_length=100)] = Field("", description="As in a job")
    job_id: Annotated[Sound, Field(max_length=100)] = Field("", description="The id of the job, or any other text")


class Place(BaseModel):
    """Where jobs run; what is empty may be any. `machine` is a ComfyUI's name or an id of ComfyUI Deploy."""

    model_config = _example(_PLACE)
    target: str
    machine: str
    label: str
    gpu_type: str


class Standing(BaseModel):
    """A place, and why it takes no jobs if it does not."""

    model_config = _example(_STANDING)
    destination: Place
    up: bool
    reason: str | None


class Part(Standing):
    """One of several places of a rule. `share` is its part of the jobs while all are up, 0 to 1."""

    model_config = _example({**_STANDING, "weight": 1.0, "share": 1.0})
    weight: float
    share: float


class RoutingRule(BaseModel):
    """A rule. `workflow` is a standard name or a pattern, `model` a file or a pattern; empty is any."""

    model_config = _example(_RULE)
    name: str
    workflow: str
    model: str
    to: list[Part]
    fallbacks: list[Standing]
    note: str


class WorkflowNameTold(BaseModel):
    """`by`: whether the table of names has it, or its standard name follows by rule."""

    model_config = _example(_NAME)
    name: str
    standard: str
    by: Literal["table", "rule"]
    notes: str


class PassedOver(BaseModel):
    """A place that would have come before."""

    model_config = _example({"destination": _PLACE, "reason": "its status is error"})
    destination: Place
    reason: str


class Explanation(BaseModel):
    """Where the job goes. Not `up`: nothing it may go to is, so it waits. `also` fit too and count less.

    `kind`: it was taken for a run of ComfyUI Deploy when it is nothing that this worker has or was given to see.
    """

    model_config = _example(
        {
            "kind": "workflow",
            "workflow": _NAME,
            "models": ["flux1-dev.safetensors"],
            "rule": "pictures",
            "destination": _LOCAL,
            "up": True,
            "why": f"pictures fits (workflow text2img): it goes to local label fast. "
            f"deploy machine {_MACHINE} is passed over: its status is error.",
            "tried": [{"destination": _PLACE, "reason": "its status is error"}],
            "to": _RULE["to"],
            "also": ["default"],
        }
    )
    kind: Literal["workflow", "deployment"]
    workflow: WorkflowNameTold | None
    models: list[str]
    rule: str
    destination: Place
    up: bool
    why: str
    tried: list[PassedOver]
    to: list[Part]
    also: list[str]


class FileTold(BaseModel):
    """A file of the settings. `loaded_at` (epoch seconds) is when its rules were read; `problem` is newer."""

    model_config = _example(_FILE)
    file: str | None
    loaded_at: float | None
    problem: str | None


class RoutingTold(BaseModel):
    """The rules in force, as in the file: a name goes before a pattern or model, `default` is for the rest."""

    model_config = _example(
        {
            "routing": _FILE,
            "names": {**_FILE, "file": "names.json"},
            "allow_override": "admin",
            "rules": [_RULE],
            "default": _DEFAULT_RULE,
            "problems": [],
        }
    )
    routing: FileTold
    names: FileTold
    allow_override: Literal["none", "admin", "all"]
    rules: list[RoutingRule]
    default: RoutingRule
    problems: list[str]


def explanation(explained: Explained, trouble: Trouble) -> dict[str, Any]:
    """An Explanation."""
    name, route = explained.name, explained.route
    return {
        "kind": explained.kind,
        "workflow": {
            "name": name.name,
            "standard": name.standard,
            "by": name.by,
            "notes": name.entry.notes if name.entry else "",
        }
        if name
        else None,
        "models": list(explained.models),
        "rule": route.rule,
        "destination": place(route.destination),
        "up": route.is_up,
        "why": route.why,
        "tried": [{"destination": place(passed), "reason": reason} for passed, reason in route.tried],
        "to": _parts(explained.rule, trouble) if explained.rule else [],
        "also": list(explained.also),
    }


def rule(told: Rule, trouble: Trouble) -> dict[str, Any]:
    """A RoutingRule."""
    return {
        "name": told.name,
        "workflow": told.workflow,
        "model": told.model,
        "to": _parts(told, trouble),
        "fallbacks": [_standing(each, trouble) for each in told.fallbacks],
        "note": told.note,
    }


def file(told: LiveFile[Any]) -> dict[str, Any]:
    """A FileTold."""
    name = told.path.name if told.path else None
    return {"file": name, "loaded_at": told.loaded_at, "problem": told.problem}


def place(destination: Destination) -> Mapping[str, str]:
    """A Place."""
    return {
        "target": destination.target,
        "machine": destination.machine,
        "label": destination.label,
        "gpu_type": destination.gpu_type,
    }


def _standing(destination: Destination, trouble: Trouble) -> dict[str, Any]:
    reason = trouble(destination)
    return {"destination": place(destination), "up": reason is None, "reason": reason}


def _parts(told: Rule, trouble: Trouble) -> list[dict[str, Any]]:
    total = sum(choice.weight for choice in told.choices)

    def part(choice: Choice) -> dict[str, Any]:
        standing = _standing(choice.destination, trouble)
        return {**standing, "weight": choice.weight, "share": choice.weight / total}

    return [part(choice) for choice in told.choices]
