"""What ComfyUI Deploy has, taken from its rows: only what is used here, tolerant of what is missing or new."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..deploy_errors import DeployProtocolError

Row = Mapping[str, Any]
_USABLE = frozenset({"ready", "running", "paused", "starting", "not-started"})
# Those wake up when a run comes.
_SERVERLESS = "comfy-deploy-serverless"


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
        return cls(
            name=str(row.get("input_id") or ""),
            kind=str(row.get("type") or "string"),
            class_type=str(row.get("class_type") or ""),
            default=row.get("default_value"),
            minimum=_number(row.get("min_value")),
            maximum=_number(row.get("max_value")),
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
        return cls(_id(row), str(row.get("name") or ""), row.get("description"), row.get("selected_machine_id"))


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
    outputs: tuple[str, ...] = ()
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
            outputs=tuple(str(each.get("output_id")) for each in _rows(row.get("output_types"))),
            gpu=row.get("gpu"),
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

    @property
    def can_cancel(self) -> bool:
        """Whether a run on it can be stopped: of machines of the user's own it cannot."""
        return self.kind == _SERVERLESS

    @classmethod
    def of(cls, row: Row) -> "Machine":
        """From a row of `/machines`."""
        return cls(
            id=_id(row),
            name=str(row.get("name") or ""),
            kind=str(row.get("type") or ""),
            status=str(row.get("status") or ""),
            gpu=row.get("gpu"),
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
            machine_id=row.get("machine_id"),
            workflow_id=row.get("workflow_id"),
            webhook=row.get("webhook"),
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


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
