"""/api/comfy/ingest: a file with what is known of it, for the gallery."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ConfigDict

from ..errors import Detail, InvalidInput
from ..gallery.gallery import Gallery
from ..gallery.given import Given
from .answers import answer
from .file_form import FileForm, read_form
from .gallery_item import ITEM_EXAMPLE, PATH, SHA256, GalleryItem, GalleryLinks
from .json_object import in_turn, parse_object
from .paths import COMFY_INGEST, INGEST_FIELDS_BYTES

_STORED = f"2024-01-01/{SHA256}.png"
_ABOUT = (
    "The file is kept by the day it came, under the hash of its content, with a JSON file beside it that holds all "
    "that is known of it. Content that is there already, whatever day it came, is not kept twice (200): what is new in "
    "`prompt_id`, `workflow` and `metadata` is added to what is known. Without `workflow`, that of a PNG or WebP that "
    "ComfyUI wrote is taken from the file. What the file is is told by its content: a picture, video or sound and "
    "nothing else besides. `metadata.workflow_name` is what the gallery's filter `workflow` looks for."
)
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "The picture, video or sound"},
                        "prompt_id": {
                            "type": "string",
                            "maxLength": INGEST_FIELDS_BYTES["prompt_id"],
                            "description": "The prompt that made it",
                        },
                        "workflow": {"type": "string", "description": "A JSON object: API format, or the editor's own"},
                        "metadata": {"type": "string", "description": "A JSON object"},
                    },
                },
                "example": {
                    "prompt_id": ITEM_EXAMPLE["prompt_id"],
                    "workflow": '{"1": {"class_type": "EmptyImage", "inputs": {}}}',
                    "metadata": '{"rating": 5}',
                },
            }
        },
    }
}


class Ingested(GalleryItem):
    """The item of the gallery. The paths are below its folder."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **ITEM_EXAMPLE,
                "source": "ingested",
                "is_duplicate": False,
                "path": _STORED,
                "sidecar_path": f"{_STORED}.json",
            }
        }
    )
    is_duplicate: bool
    path: str
    sidecar_path: str


def router(gallery: Gallery, links: GalleryLinks) -> APIRouter:
    """/api/comfy/ingest."""
    routes = APIRouter(tags=["gallery"])

    @routes.post(
        COMFY_INGEST,
        summary="Put a file into the gallery",
        description=_ABOUT,
        status_code=201,
        responses={
            201: {"model": Ingested, "description": "It is kept"},
            200: {"model": Ingested, "description": "It was there already"},
        },
        openapi_extra=_FORM,
    )
    async def ingest(request: Request) -> Response:
        with await asyncio.to_thread(gallery.begin) as incoming:
            form = await read_form(request, incoming, INGEST_FIELDS_BYTES)
            given = await in_turn(_given, form)
            stored = await asyncio.to_thread(gallery.ingest, incoming, given)
        told = {
            **links.item(stored.entry),
            "is_duplicate": stored.is_duplicate,
            "path": stored.path,
            "sidecar_path": stored.sidecar_path,
        }
        status = 200 if stored.is_duplicate else 201
        return answer(told, status, {"Location": f"{PATH}/{stored.entry.sha256}"})

    return routes


def _given(form: FileForm) -> Given:
    return Given(
        filename=form.filename,
        prompt_id=_prompt_id(form.fields.get("prompt_id", b"")),
        workflow=_object("workflow", form.fields.get("workflow", b"")) or None,
        metadata=_object("metadata", form.fields.get("metadata", b"")),
    )


def _prompt_id(raw: bytes) -> str | None:
    text = raw.decode("utf-8", "replace").strip()
    if not text.isprintable():
        message = "prompt_id holds characters that cannot be shown."
        raise InvalidInput(message, [Detail(field="prompt_id", code="invalid_text", message=message)])
    return text or None


def _object(name: str, raw: bytes) -> dict[str, Any]:
    """The JSON object in a field; an empty one for none. Raises InvalidInput naming the field."""
    if not raw.strip():
        return {}
    try:
        return parse_object(raw)
    except InvalidInput as error:
        code = error.details[0].get("code", "invalid_json") if error.details else "invalid_json"
        message = error.message.replace("The body", name, 1)
        raise InvalidInput(message, [Detail(field=name, code=code, message=message)]) from None
