"""The manifest of a named workflow: what it is called, what it takes, which node makes its result."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from ..jobs.request_fields import Fields
from .input_kinds import FileInput, Input

# Beside the inputs, a call's body holds these.
RESERVED_INPUTS = frozenset({"async", "webhook", "priority", "labels", "ttl_s", "gpu", "inputs", "workflow_name"})
# Paths of the API next to which those of the workflows stand.
RESERVED_NAMES = frozenset(
    {"async", "comfy", "deploy", "jobs", "metrics", "workflows", "v1", "v2", "instances", "queue", "uploads"}
    | {"admin", "health"}
)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_INPUT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def _workflow_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a name is made of small letters, digits, - and _, 64 at most: it is a part of a path")
    if name in RESERVED_NAMES:
        raise ValueError(f"{name} is the name of another part of the API; take another one")
    return name


def _input_name(name: str) -> str:
    if not _INPUT_NAME.fullmatch(name):
        raise ValueError("the name of an input is made of letters, digits and _, and begins with a letter")
    if name in RESERVED_INPUTS:
        raise ValueError(f"{name} has a meaning of its own in a call; take another name")
    return name


WorkflowName = Annotated[str, AfterValidator(_workflow_name)]
InputName = Annotated[str, AfterValidator(_input_name)]


class Requires(BaseModel):
    """What ComfyUI has to have: model files and node classes. Those the template names need not be repeated."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    models: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


class Manifest(BaseModel):
    """`result` is the node whose output is the result; it may be left out when the workflow ends in one node only."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: WorkflowName | None = None
    title: str = ""
    description: str = ""
    inputs: dict[InputName, Input] = Field(default_factory=dict)
    result: str | None = None
    requires: Requires = Requires()
    timeout_s: float | None = Field(None, gt=0, allow_inf_nan=False)


def calls(name: str, manifest: Manifest) -> type[BaseModel]:
    """The model that a call's inputs are checked with, under the names the caller gives them."""
    words = "".join(part.capitalize() for part in re.split(r"[_-]", name))
    # The names are aliases: `copy` or `json` as a field would hide a method of the model.
    fields: dict[str, Any] = {
        f"input_{index}": kind.field(given) for index, (given, kind) in enumerate(manifest.inputs.items())
    }
    return create_model(f"{words}Inputs", __base__=Fields, __doc__=manifest.description or manifest.title, **fields)


def file_inputs(manifest: Manifest) -> dict[str, FileInput]:
    """The inputs that are files, in their order."""
    return {name: kind for name, kind in manifest.inputs.items() if isinstance(kind, FileInput)}
