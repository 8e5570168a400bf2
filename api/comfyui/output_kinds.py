"""What will come out of an output node, told from its class: image, video, audio, text or file."""

import re
from collections.abc import Mapping
from typing import Any

from .declared import DeclaredNode

# Names first: video nodes of custom packs take single frames.
_BY_NAME = (
    (re.compile(r"video|webm|mp4", re.IGNORECASE), "video"),
    (re.compile(r"audio", re.IGNORECASE), "audio"),
    (re.compile(r"^PreviewAny$|text|string", re.IGNORECASE), "text"),
    (re.compile(r"svg", re.IGNORECASE), "image"),
)
_BY_INPUT = {"VIDEO": "video", "AUDIO": "audio", "IMAGE": "image", "MASK": "image"}


def output_kind(class_type: str, info: Mapping[str, Any]) -> str:
    """The kind of media an output node makes; `info` is its entry in object_info. "file" where nothing tells."""
    for pattern, kind in _BY_NAME:
        if pattern.search(class_type):
            return kind
    kinds = [item.kind for item in DeclaredNode.read(class_type, info).inputs.values()]
    return next((_BY_INPUT[kind] for kind in kinds if isinstance(kind, str) and kind in _BY_INPUT), "file")
