"""The ComfyUIs of the worker: how each is, and adding, draining and removing them while it runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from ..errors import Detail, InvalidInput
from .body import JsonBody
from .openapi import request_body

_NAME = "10.0.0.2:8188"
_INSTANCE = {
    "name": _NAME,
    "status": "healthy",
    "reason": None,
    "label": "fast",
    "weight": 2.0,
    "breaker": "closed",
    "slots": 2,
    "running": 1,
    "waiting": 1,
    "foreign_prompts": 0,
    "models": ["sdxl.safetensors"],
}

Facts = Mapping[str, Any]


def _example(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": example})


class Instance(BaseModel):
    """One ComfyUI. `running` and `waiting` are the worker's jobs in it, `foreign_prompts` those of others.

    `models` are most likely loaded: the last prompt with any needed them. `breaker` open: it gets no jobs until it has
    shown that it works.
    """

    model_config = _example(_INSTANCE)
    name: str
    status: Literal["healthy", "unhealthy", "draining"]
    reason: str | None = None
    label: str = ""
    weight: float
    breaker: Literal["closed", "open", "half_open"]
    slots: int
    running: int
    waiting: int
    foreign_prompts: int
    models: list[str]


class Instances(BaseModel):
    """All ComfyUIs of this worker. Changes last until it is started again: then it has those of COMFY_HOST."""

    model_config = _example({"instances": [_INSTANCE]})
    instances: list[Instance]


class NewInstance(BaseModel):
    """`address` as in COMFY_HOST: host:port or a URL, with ;label=… and ;weight=… where wanted."""

    model_config = _example({"address": f"{_NAME};label=fast;weight=2"})
    address: str = Field(description="host:port or a URL, with ;label=… and ;weight=… where wanted")


class InstanceRemoved(BaseModel):
    """It gets no more jobs, and the worker has forgotten it."""

    model_config = _example({"name": _NAME, "removed": True})
    name: str
    removed: bool


class Pool(Protocol):
    """What the routes ask for."""

    def facts(self) -> Sequence[Facts]:
        """How each ComfyUI is."""

    def drain(self, name: str, *, draining: bool = True) -> Facts:
        """Give it no more jobs, or jobs again. Raises InstanceNotFound."""


def router(pool: Pool, add: Callable[[str], Facts], remove: Callable[[str, bool], None]) -> APIRouter:
    """/admin/instances. `add` takes an address, `remove` a name and whether jobs there are no obstacle."""
    routes = APIRouter(tags=["admin"])

    @routes.get("/admin/instances", summary="The ComfyUIs and how they are")
    def look() -> Instances:
        return Instances.model_validate({"instances": list(pool.facts())})

    @routes.post(
        "/admin/instances",
        summary="Add a ComfyUI",
        description="It gets jobs as soon as it has shown that it works.",
        status_code=201,
        openapi_extra=request_body(NewInstance),
    )
    def extend(body: JsonBody) -> Instance:
        return Instance.model_validate(add(_address(body)))

    @routes.post(
        "/admin/instances/{name}/drain",
        summary="Give a ComfyUI no more jobs",
        description="What executes there goes on; what waits there goes to another ComfyUI.",
    )
    def drain(name: str) -> Instance:
        return Instance.model_validate(pool.drain(name))

    @routes.post("/admin/instances/{name}/resume", summary="Give a drained ComfyUI jobs again")
    def resume(name: str) -> Instance:
        return Instance.model_validate(pool.drain(name, draining=False))

    @routes.delete(
        "/admin/instances/{name}",
        summary="Remove a ComfyUI",
        description="One with jobs only with `force`: they are then run elsewhere, from the beginning.",
    )
    def delete(name: str, force: Annotated[bool, Query(examples=[False])] = False) -> InstanceRemoved:
        remove(name, force)
        return InstanceRemoved(name=name, removed=True)

    return routes


def _address(body: Mapping[str, Any]) -> str:
    address = body.get("address")
    if isinstance(address, str) and address.strip():
        return address
    message = 'The body must be {"address": "host:port"}.'
    raise InvalidInput(message, [Detail(field="address", code="invalid_value", message=message)])
