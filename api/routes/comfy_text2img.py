"""/api/comfy/text2img: words in, a prompt out. The workflow is made of what some ComfyUI offers."""

import difflib
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ..comfyui.catalog import Catalog
from ..errors import ComfyError, ComfyUnreachable, Detail, InvalidInput
from ..jobs.quoting import cut
from ..jobs.request_fields import Sound
from ..jobs.request_findings import validated
from ..jobs.service import JobService
from ..workflows.text2img import Text2Img, build
from ..workflows.text2img_model import ShapesOf
from ..workflows.text2img_params import FamilyName, Text2ImgParams
from . import submissions
from .answers import answer
from .body import JsonBody
from .comfy_queueing import STATUS_CODE, queued
from .comfy_words import PREFIX, ComfyQueueResponse
from .validation import Finding

PATH = f"{PREFIX}/text2img"
# What routing rules and statistics know these jobs by.
_NAME = "text2img"
# A model may have been put there since: definitions older than this are asked for anew before anything is refused.
_STALE_AFTER_S = 5.0
# Random seeds stay within what JavaScript keeps exactly.
_SEED_BITS = 53
_MOST_TOLD = 20
_LIKENESS = 0.75


class Text2ImgRequest(Text2ImgParams, submissions.QueueFields):
    """A picture to be made from words. What is left out is chosen to suit the checkpoint's family.

    Sides are in pixels. The switches take true, or a number for what they are about: pag its scale, deepshrink the
    factor by which it shrinks, detail_daemon its amount, split_sigmas the step at which the second part begins.
    """

    client_id: Sound | None = Field(None, max_length=200, description="Handed back in the answer")


class ComfyText2ImgResponse(ComfyQueueResponse):
    """The prompt is in line. `workflow` is what was made; `warnings` tell what was not taken as it was asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "prompt_id": "550e8400-e29b-41d4-a716-446655440000",
                "client_id": "gallery",
                "status": "queued",
                "position": 0,
                "checkpoint": "sd_xl_base_1.0.safetensors",
                "family": "sdxl",
                "seed": 42,
                "width": 1024,
                "height": 768,
                "workflow": {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "…"}}},
                "warnings": [],
            }
        },
    )
    checkpoint: str
    family: FamilyName
    seed: int
    width: int
    height: int
    workflow: dict[str, Any]
    warnings: list[Finding]


def router(service: JobService, catalogs: Callable[[], Sequence[Catalog]], shapes_of: ShapesOf) -> APIRouter:
    """The route. `catalogs` are those of the ComfyUIs that jobs are given to, the preferred first."""
    routes = APIRouter(tags=["comfy"])

    @routes.post(
        PATH,
        summary="Make a picture from words",
        description="Builds a workflow of what ComfyUI offers and queues it. SD1.5, SDXL, SD3 and Flux are told apart "
        "by the checkpoint. A model, LoRA or node that is not there is named, with what is nearest to it.",
        status_code=STATUS_CODE,
        responses={STATUS_CODE: {"model": ComfyText2ImgResponse, "description": "The prompt is kept and in line"}},
        openapi_extra=submissions.documented(Text2ImgRequest),
    )
    async def text2img(request: Request, body: JsonBody) -> Response:
        params = validated(Text2ImgParams, body)
        made = await run_in_threadpool(_made, params, _seed(request), catalogs(), shapes_of)
        around = {name: body[name] for name in _AROUND if name in body}
        told, headers = await queued(service, request, {**around, "workflow": made.workflow}, _NAME)
        return answer({**told, **_object(made, [*_unknown(body), *made.warnings])}, STATUS_CODE, headers)

    return routes


_AROUND = ("client_id", *submissions.QueueFields.model_fields)


def _seed(request: Request) -> int:
    """A random one; for a request that may be repeated, the same each time: its answer tells the seed."""
    key = submissions.idempotency_key(request)
    digest = hashlib.sha256(key.encode()).digest() if key else secrets.token_bytes(8)
    return int.from_bytes(digest[:8], "big") >> (64 - _SEED_BITS)


def _made(params: Text2ImgParams, seed: int, catalogs: Sequence[Catalog], shapes_of: ShapesOf) -> Text2Img:
    """What the first ComfyUI can make that can make it. Raises InvalidInput of the one that lacks least."""
    refusals: list[InvalidInput] = []
    unreachable: ComfyError | None = None
    for catalog in catalogs:
        try:
            return _made_of(catalog, params, seed, shapes_of)
        except InvalidInput as error:
            refusals.append(error)
        except ComfyError as error:
            unreachable = error
    if refusals:
        # One that offers something tells more than one that has nothing.
        raise min(refusals, key=lambda error: (_offers_nothing(error), len(error.details)))
    raise unreachable or ComfyUnreachable("There is no ComfyUI that could make a picture.")


def _offers_nothing(error: InvalidInput) -> bool:
    return any(detail.get("code") == "none_offered" for detail in error.details)


def _made_of(catalog: Catalog, params: Text2ImgParams, seed: int, shapes_of: ShapesOf) -> Text2Img:
    try:
        return build(params, catalog.object_info(), seed, shapes_of)
    except InvalidInput:
        if catalog.age_s() <= _STALE_AFTER_S:
            raise
    return build(params, catalog.object_info(_STALE_AFTER_S), seed, shapes_of)


def _object(made: Text2Img, warnings: Sequence[Detail]) -> dict[str, Any]:
    return {
        "checkpoint": made.checkpoint,
        "family": made.family,
        "seed": made.seed,
        "width": made.width,
        "height": made.height,
        "workflow": made.workflow,
        "warnings": list(warnings),
    }


def _unknown(body: Mapping[str, Any]) -> list[Detail]:
    """Keys that mean nothing here; they change nothing, which is not what whoever sent them wants."""
    names = _names()
    return [_unknown_field(key, names) for key in sorted(body.keys() - names)[:_MOST_TOLD]]


def _unknown_field(key: str, names: set[str]) -> Detail:
    near = difflib.get_close_matches(key.lower(), sorted(names), 1, _LIKENESS)
    hint = f": did you mean {near[0]}?" if near else "; it was left out."
    message = f"{cut(key)} is not a field of text2img{hint}"
    return Detail(field=cut(key), code="unknown_field", message=message, nearest=near)


def _names() -> set[str]:
    fields = Text2ImgRequest.model_fields
    aliases = [field.validation_alias for field in fields.values()]
    others = [choice for alias in aliases for choice in getattr(alias, "choices", ()) if isinstance(choice, str)]
    return {*fields, *others}
