"""A file of the gallery as callers see it, with addresses that open in a page."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from ..gallery.entry import Entry

PATH = "/api/comfy/gallery"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_SIDE = 256
_DAY_S = 24 * 3600
ITEM_EXAMPLE: dict[str, Any] = {
    "id": SHA256,
    "filename": "ComfyUI_00001_.png",
    "media_type": "image/png",
    "kind": "image",
    "size_bytes": 412345,
    "width": 1024,
    "height": 1024,
    "created_at": 1704067200.123,
    "day": "2024-01-01",
    "source": "generated",
    "prompt_id": "550e8400-e29b-41d4-a716-446655440000",
    "job_id": "6fa459ea-ee8a-4ca4-894e-db77e160355e",
    "workflow_name": "portrait",
    "checkpoints": ["sd_xl_base_1.0.safetensors"],
    "prompt": "a photo of a lighthouse at dusk",
    "deleted_until": None,
    "file_url": f"{PATH}/{SHA256}/file",
    "thumbnail_url": f"{PATH}/{SHA256}/thumbnail?side={_SIDE}",
}


class GalleryItem(BaseModel):
    """A picture, video or sound. `id` is the sha256 of its content; times are epoch seconds, the day is UTC's.

    Its addresses open without a key for a day and more. A sound or video has no thumbnail.
    """

    model_config = ConfigDict(json_schema_extra={"example": ITEM_EXAMPLE})
    id: str
    filename: str
    media_type: str
    kind: Literal["image", "video", "audio"]
    size_bytes: int
    width: int | None
    height: int | None
    created_at: float
    day: str
    source: Literal["generated", "ingested"]
    prompt_id: str | None
    job_id: str | None
    workflow_name: str | None
    checkpoints: list[str]
    prompt: str | None
    deleted_until: float | None
    file_url: str
    thumbnail_url: str | None


@dataclass(frozen=True)
class GalleryLinks:
    """`sign(path, expires_at)` gives the token of a link, or None where none is needed."""

    sign: Callable[[str, float], str | None]
    clock: Callable[[], float] = time.time

    def item(self, entry: Entry) -> dict[str, Any]:
        """The GalleryItem of an entry."""
        shown = {name: getattr(entry, name) for name in GalleryItem.model_fields if hasattr(entry, name)}
        base = f"{PATH}/{entry.sha256}"
        is_picture = entry.kind == "image"
        return {
            "id": entry.sha256,
            **shown,
            "source": entry.source.value,
            "checkpoints": list(entry.checkpoints),
            "file_url": self._signed(f"{base}/file"),
            "thumbnail_url": self._signed(f"{base}/thumbnail", f"side={_SIDE}") if is_picture else None,
        }

    def _signed(self, path: str, query: str = "") -> str:
        # The same for a whole day, so that browsers find what they have kept.
        expires_at = (self.clock() // _DAY_S + 2) * _DAY_S
        token = self.sign(path, expires_at)
        whole = "&".join(filter(None, (query, f"token={quote(token)}" if token else "")))
        return f"{path}?{whole}" if whole else path
