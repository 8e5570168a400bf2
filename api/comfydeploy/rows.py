"""What ComfyUI Deploy has, taken from its rows: only what is used here, tolerant of what is missing or new."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..deploy_errors import DeployProtocolError

Row = Mapping[str, Any]
# The fields of it that are wanted, those of what is in it in turn; None is all of it.
_Wanted = Mapping[str, "_Wanted | None"]
# Those that sleep wake up when a run comes.
_USABLE = frozenset({"ready", "running", "paused", "starting", "not-started"})
_INPUT_FIELDS = ("input_id", "type", "class_type", "default_value", "min_value", "max_value", "display_name")
_MACHINE_FIELDS = ("id", "name", "type", "status", "gpu", "disabled", "deleted")
_WORKFLOW_FIELDS = ("id", "name", "description", "selected_machine_id", "deleted")
_DEPLOYMENT_FIELDS = ("id", "workflow_id", "workflow_version_id", "machine_id", "environment", "gpu", "deleted")
# What is kept of the rows of each list. The rest stays out of files and caches: machines have their tokens in theirs.
KEPT: Mapping[str, _Wanted] = {
    "machines": dict.fromkeys(_MACHINE_FIELDS),
    "workflows": dict.fromkeys(_WORKFLOW_FIELDS),
    "deployments": {
        **dict.fromkeys(_DEPLOYMENT_FIELDS),
        "workflow": {"name": None},
        "input_types": dict.fromkeys((*_INPUT_FIELDS, "description", "enum_options")),
    },
}


def slim(value: Any, wanted: _Wanted | None) -> Any:
    """A row, or a list of them, with the wanted fields only."""
    if wanted is None:
        return value
    if isinstance(value, list):
        return [slim(each, wanted) for each in value]
    if not isinstance(value, Mapping):
        return None
    return {name: slim(value[name], inner) for name, inner in wanted.items() if name in value}


@dataclass(frozen=True, slots=True)
class InputType:
    """One input of a deployment. `kind` is string, integer, float, boolean, enum, array or another word of theirs."""

    name: str
    kind: str
    class_type: str = ""
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    options: tuple[Any, ...] = ()
    display_name: str = ""
    description: str = ""

    @property
    def is_required(self) -> bool:
        """Whether a run needs it: there is nothing to take instead."""
        return self.default is None or (self.default == "" and self.is_file)

    @property
    def is_file(self) -> bool:
        """Whether it takes a file: an address, or bytes that have to be uploaded."""
        words = ("Image", "Video", "Audio", "File", "EXR", "FaceModel")
        return any(word in self.class_type for word in words) and "Batch" not in self.class_type

    @classmethod
    def of(cls, row: Row) -> "InputType":
        """From an entry of `input_types`."""
        options = row.get("enum_options")
        minimum, maximum = _number(row.get("min_value")), _number(row.get("max_value"))
        if minimum is not None and maximum is not None and maximum <= minimum:
            # Many have no range and say so with equal ends.
            minimum = maximum = None
        return cls(
            name=str(row.get("input_id") or ""),
            kind=str(row.get("type") or "string"),
            class_type=str(row.get("class_type") or ""),
            default=row.get("default_value"),
            minimum=minimum,
            maximum=maximum,
            options=tuple(options) if isinstance(options, list) else (),
            display_name=str(row.get("display_name") or ""),
            description=str(row.get("description") or ""),
        )


@dataclass(frozen=True, slots=True)
class Workflow:
    """One workflow."""

    id: str
    name: str
    description: str | None = None
    machine_id: str | None = None

    @classmethod
    def of(cls, row: Row) -> "Workflow":
        """From a row of `/workflows/all`."""
        description, machine_id = _text(row.get("description")), _text(row.get("selected_machine_id"))
        return cls(_id(row), str(row.get("name") or ""), description, machine_id)


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment: a version of a workflow, bound to a machine."""

    id: str
    workflow_id: str
    version_id: str
    machine_id: str
    environment: str
    workflow_name: str = ""
    inputs: tuple[InputType, ...] = ()
    gpu: str | None = None

    @classmethod
    def of(cls, row: Row) -> "Deployment":
        """From a row of `/deployments`."""
        workflow = row.get("workflow")
        return cls(
            id=_id(row),
            workflow_id=str(row.get("workflow_id") or ""),
            version_id=str(row.get("workflow_version_id") or ""),
            machine_id=str(row.get("machine_id") or ""),
            environment=str(row.get("environment") or ""),
            workflow_name=str(workflow.get("name") or "") if isinstance(workflow, dict) else "",
            inputs=tuple(InputType.of(each) for each in _rows(row.get("input_types")) if each.get("input_id")),
            gpu=_text(row.get("gpu")),
        )


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine."""

    id: str
    name: str
    kind: str
    status: str
    gpu: str | None = None
    is_disabled: bool = False

    @property
    def trouble(self) -> str | None:
        """Why it would take no run; None when it would."""
        if self.is_disabled:
            return "it is disabled"
        return None if self.status in _USABLE else f"its status is {self.status}"

    @classmethod
    def of(cls, row: Row) -> "Machine":
        """From a row of `/machines`."""
        return cls(
            id=_id(row),
            name=str(row.get("name") or ""),
            kind=str(row.get("type") or ""),
            status=str(row.get("status") or ""),
            gpu=_text(row.get("gpu")),
            is_disabled=bool(row.get("disabled") or row.get("deleted")),
        )


@dataclass(frozen=True, slots=True)
class RunState:
    """A run as it stands. `progress` is 0 to 1; `raw` the whole row."""

    id: str
    status: str
    progress: float = 0.0
    live_status: str | None = None
    queue_position: int | None = None
    machine_id: str | None = None
    workflow_id: str | None = None
    webhook: str | None = None
    outputs: tuple[Row, ...] = ()
    raw: Row = field(default_factory=dict, repr=False)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in ENDED

    @classmethod
    def of(cls, row: Row) -> "RunState":
        """From the row of `/run/{id}`. Raises DeployProtocolError for what is none."""
        position, progress = row.get("queue_position"), _number(row.get("progress"))
        return cls(
            id=_id(row),
            status=str(row.get("status") or ""),
            progress=min(max(progress or 0.0, 0.0), 1.0),
            live_status=str(row["live_status"]) if row.get("live_status") else None,
            queue_position=position if isinstance(position, int) else None,
            machine_id=_text(row.get("machine_id")),
            workflow_id=_text(row.get("workflow_id")),
            webhook=_text(row.get("webhook")),
            outputs=tuple(_rows(row.get("outputs"))),
            raw=row,
        )


ENDED = frozenset({"success", "failed", "timeout", "cancelled"})


def _id(row: Row) -> str:
    found = row.get("id")
    if not isinstance(found, str) or not found:
        raise DeployProtocolError("ComfyUI Deploy sent a row without an id.")
    return found


def _rows(value: Any) -> list[Row]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
