"""Values that ComfyUI takes for paths: what must not get to it, and how a prefix is made harmless.

ComfyUI 0.3.64 reads any picture by an absolute path or `..`, and tells whether any file exists.
"""

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..jobs.quoting import cut, quote

PREFIX_INPUT = "filename_prefix"
DEFAULT_PREFIX = "ComfyUI"
# Inputs of core nodes that name a file or folder below input/ or output/.
_FILE_INPUTS = {
    ("LoadImage", "image"),
    ("LoadImageMask", "image"),
    ("LoadImageOutput", "image"),
    ("LoadAudio", "audio"),
    ("RecordAudio", "audio"),
    ("LoadVideo", "file"),
    ("LoadLatent", "latent"),
    ("Load3D", "model_file"),
    ("Load3DAnimation", "model_file"),
    ("Preview3D", "model_file"),
    ("Preview3DAnimation", "model_file"),
    ("LoadImageSetNode", "images"),
    ("LoadImageSetFromFolderNode", "folder"),
    ("LoadImageTextSetFromFolderNode", "folder"),
    ("LoadImageDataSetFromFolder", "folder"),
    ("LoadImageTextDataSetFromFolder", "folder"),
    ("SaveImageDataSetToFolder", "folder_name"),
    ("SaveImageTextDataSetToFolder", "folder_name"),
    ("LoadTrainingDataset", "folder_name"),
    ("SaveTrainingDataset", "folder_name"),
}
# Inputs that hold words, patterns or code, which may well begin with a slash.
_FREE_TEXT = frozenset(
    [
        "string",
        "string_a",
        "string_b",
        "value",
        "delimiter",
        "separator",
        "find",
        "replace",
        "substring",
        "regex_pattern",
        "pattern",
        "expression",
        "code",
        "caption",
        "captions",
        "description",
        "title",
        "note",
        "notes",
        "message",
        "content",
        "instruction",
        "instructions",
        "query",
        "question",
        "answer",
        "positive",
        "negative",
        "clip_l",
        "clip_g",
        "t5xxl",
        "llama",
        "lyrics",
        "tags",
        "json",
        "ui",
        "files",
        "default",
    ]
)
_MAX_PATH_CHARS = 1000
_ABSOLUTE = re.compile(r"\s*(?:[/\\]|[A-Za-z]:[/\\])")
_SEPARATOR = re.compile(r"[/\\]")
_DOTS = re.compile(r"\.{2,}")
# The counter, the extension and what %width% and its like expand to come on top of the prefix.
_MAX_SEGMENT_BYTES = 200


class PathFault(NamedTuple):
    """Why a value is refused."""

    code: str
    message: str
    received: str


def faults(class_type: str, name: str, value: Any, *, roots: Sequence[str]) -> Iterator[PathFault]:
    """What is wrong with an input's value as a path. Inputs that core nodes do not have may name files below `roots`.

    Any input but free text may end up as a path: API nodes of 0.3.64 send whatever file a COMBO value names.
    """
    is_prefix = name == PREFIX_INPUT
    is_file = is_prefix or (class_type, name) in _FILE_INPUTS
    if not is_file and _is_free_text(name):
        return
    for text in _texts(value):
        if escapes(text) and (is_file or (_could_be_a_path(text) and not _below(text, roots))):
            wanted = "a prefix such as renders/cat" if is_prefix else "the name of a file that is sent in images"
            message = f"is {quote(text)}: absolute paths and .. are refused, give {wanted}"
            yield PathFault("path_refused", message, cut(text))
        elif is_prefix and (reason := _fault_of_prefix(text)):
            yield PathFault("invalid_prefix", f"is {quote(text)}, which {reason}", cut(text))


def _is_free_text(name: str) -> bool:
    return name in _FREE_TEXT or "text" in name.lower() or "prompt" in name.lower()


def _below(text: str, roots: Sequence[str]) -> bool:
    path = posixpath.normpath(text)
    return any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots)


def _could_be_a_path(text: str) -> bool:
    return "\n" not in text and len(text) <= _MAX_PATH_CHARS and bool(text.strip("/\\. "))


def escapes(text: str) -> bool:
    """Whether the path is absolute or climbs."""
    return bool(_ABSOLUTE.match(text)) or any(part.strip() == ".." for part in _SEPARATOR.split(text))


def harmless_prefix(prefix: str) -> str:
    """The prefix without `..` inside: ComfyUI's /view never serves a file with two dots in a row in its name."""
    return _DOTS.sub("_", prefix)


def prefix_within(folder: str, prefix: str) -> str:
    """The prefix below `folder`. An empty one would make `folder` itself the file name, hence ComfyUI's default."""
    own = posixpath.normpath(prefix) if prefix else "."
    return f"{folder}/{DEFAULT_PREFIX if own == '.' else own}"


def _texts(value: Any) -> Iterator[str]:
    """The strings at any depth: ComfyUI unwraps {"__value__": …}. Depth is bounded by the copy before."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _fault_of_prefix(prefix: str) -> str | None:
    # Both would fail only when the picture is saved, after all the work.
    if any(ord(char) < 32 for char in prefix):
        return "holds a control character"
    if any(len(part.encode()) > _MAX_SEGMENT_BYTES for part in prefix.split("/")):
        return f"has a part longer than {_MAX_SEGMENT_BYTES} bytes"
    return None
