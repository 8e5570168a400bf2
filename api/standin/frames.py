"""What goes over the WebSocket: binary frames (big endian) and the payloads of text messages."""

import io
import json
import struct
from typing import Any

from PIL import Image

PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4
_FORMATS = {"JPEG": 1, "PNG": 2}
PREVIEW_MAX_SIZE = 512


def identity(node_id: str, prompt_id: str) -> dict[str, Any]:
    """Who a progress entry or a preview is about; without expansion all ids are the node's own."""
    return {
        "node_id": node_id,
        "prompt_id": prompt_id,
        "display_node_id": node_id,
        "parent_node_id": None,
        "real_node_id": node_id,
    }


def progress_entry(value: Any, maximum: Any, state: str, node_id: str, prompt_id: str) -> dict[str, Any]:
    return {"value": value, "max": maximum, "state": state, **identity(node_id, prompt_id)}


def preview(image_format: str, image: Image.Image, max_size: int | None) -> bytes:
    """Type 1: format number and image. Previews are scaled to fit, also up."""
    return struct.pack(">II", PREVIEW, _FORMATS[image_format]) + _encoded(image, image_format, max_size)


def preview_with_metadata(
    image_format: str, image: Image.Image, max_size: int | None, node_id: str, prompt_id: str
) -> bytes:
    """Type 4, for clients whose first message was feature_flags with supports_preview_metadata."""
    about = identity(node_id, prompt_id) | {"image_type": "image/jpeg" if image_format == "JPEG" else "image/png"}
    header = json.dumps(about).encode()
    body = _encoded(image, image_format, max_size)
    return struct.pack(">II", PREVIEW_WITH_METADATA, len(header)) + header + body


def text(node_id: str, content: str) -> bytes:
    """Type 3: a node's progress text."""
    name = node_id.encode()
    return struct.pack(">II", TEXT, len(name)) + name + content.encode()


def _encoded(image: Image.Image, image_format: str, max_size: int | None) -> bytes:
    if max_size is not None:
        scale = max_size / max(image.size)
        size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
        image = image.resize(size, Image.Resampling.BILINEAR)
    if image_format == "JPEG" and image.mode not in ("RGB", "L"):
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, format=image_format, quality=95, compress_level=1)
    return buffer.getvalue()
