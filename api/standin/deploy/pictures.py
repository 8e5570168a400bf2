"""Pictures whose looks follow from the inputs, so that equal runs give equal bytes."""

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageDraw

_MOST = 512


def picture(inputs: Mapping[str, Any]) -> bytes:
    """A PNG of the inputs' width and height, else 64 x 64."""
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).digest()
    size = (_size(inputs.get("width")), _size(inputs.get("height")))
    image = Image.new("RGB", size, (digest[0], digest[1], digest[2]))
    draw = ImageDraw.Draw(image)
    box = [size[0] * 0.2, size[1] * 0.2, size[0] * 0.8, size[1] * 0.8]
    draw.ellipse(box, fill=(digest[3], digest[4], digest[5]))
    made = io.BytesIO()
    image.save(made, "PNG")
    return made.getvalue()


def _size(value: Any) -> int:
    return min(value, _MOST) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 64
