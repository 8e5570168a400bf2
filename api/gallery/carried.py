"""The workflow that a picture of ComfyUI carries: the prompt that ran (API format), else the editor's own."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..outputs import workflow_text
from ..pictures import PILLOW_ERRORS, open_picture

_NAMES = ("prompt", "workflow")
# As much as a form may send along (INGEST_FIELDS_BYTES); what is deeper, or no JSON, could be kept but not be told in
# an answer.
MOST_TEXT = 2_000_000
_MOST_DEPTH = 100


def carried(path: Path, media_type: str) -> Mapping[str, Any] | None:
    """The workflow; None when there is none, or none that can be read. Never raises."""
    if not media_type.startswith("image/"):
        return None
    try:
        with open_picture(path) as image:
            texts = workflow_text.read(image, path)
    except PILLOW_ERRORS:
        return None
    found = (_parsed(texts[name]) for name in _NAMES if name in texts)
    return next((each for each in found if each), None)


def _parsed(text: str) -> dict[str, Any] | None:
    if len(text) > MOST_TEXT:
        return None
    try:
        # ComfyUI writes NaN where a node says that it always changes; JSON knows none.
        value = json.loads(text, parse_constant=lambda _word: None, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_shallow(value) else None


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _is_shallow(value: Any) -> bool:
    """Whether it is nested no deeper than a request may be. Iterative: the depth is what is in question."""
    level = [value]
    for _ in range(_MOST_DEPTH):
        level = [
            each
            for found in level
            if isinstance(found, dict | list)
            for each in (found.values() if isinstance(found, dict) else found)
        ]
        if not level:
            return True
    return False
