"""Puts the caller's own workflow where a finished file tells the one ComfyUI was given.

Written over it, filled up with spaces: nothing in the file moves, whatever its container, and no pixel is read.
"""

import json
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ..jobs.ports import Workflow
from .checksums import mend
from .containers import GIF, JPEG, PNG, WEBP, MalformedImage, pieces, walkable
from .facts import OCTETS

# Containers without checksums over their tags, or with some that can be mended. In a zip, for one, they could not.
_AUDIO_AND_VIDEO = (
    "video/mp4 video/x-m4v video/quicktime video/webm video/x-matroska audio/mp4 audio/mpeg audio/flac audio/ogg "
    "audio/opus audio/wav"
)
_KINDS = {PNG, WEBP, JPEG, GIF, "image/avif", "model/gltf-binary", *_AUDIO_AND_VIDEO.split()}
_TENSORS = {".latent", ".safetensors", ".sft"}
_PIXELS = {b"IDAT", b"fdAT", b"VP8 ", b"VP8L", b"ANMF", b"\xda", b","}
# What nodes and ComfyUI itself put into the prompt besides what it was given (`is_changed`).
_SLACK_PER_NODE, _SLACK = 2000, 16_384
# A text of the caller's may hold any number of things that look like the beginning.
_MAX_LOOKS = 64
_NONCE = "_worker_nonce"


class _Found(NamedTuple):
    """Bytes `start` to `end` hold the workflow as JSON, or as JSON within a JSON string."""

    start: int
    end: int
    quoted: bool


def restore(path: Path, filename: str, mime_type: str, given: Workflow, own: Workflow) -> bool:
    """Whether the file was changed: `own` stands where it told `given`. Files of unknown kinds stay as they are."""
    if given == own or not given or not path.stat().st_size:
        return False
    if mime_type not in _KINDS and not (mime_type == OCTETS and PurePosixPath(filename).suffix.lower() in _TENSORS):
        return False
    try:
        regions = list(_regions(path, mime_type))
    except MalformedImage:
        return False
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        changed = [_restored(content, region, mime_type, given, own) for region in regions]
        return any(changed)


def _regions(path: Path, mime_type: str) -> Iterator[tuple[int, int]]:
    """Where in the file to look: everywhere but in the pixels."""
    if not walkable(mime_type):
        yield 0, path.stat().st_size
        return
    yield from ((piece.body, piece.end) for piece in pieces(path, mime_type) if piece.tag not in _PIXELS)


def _restored(content: mmap.mmap, region: tuple[int, int], mime_type: str, given: Workflow, own: Workflow) -> bool:
    changed = False
    for found in _occurrences(content, region, given):
        text = _fitting(own, found)
        if text is not None:
            content[found.start : found.end] = text
            mend(content, mime_type, found.start)
            changed = True
    return changed


def _occurrences(content: mmap.mmap, region: tuple[int, int], given: Workflow) -> Iterator[_Found]:
    head = f"{{{json.dumps(next(iter(given)))}:"
    wanted = _bare(given)
    longest = 2 * len(json.dumps(given)) + _SLACK_PER_NODE * len(given) + _SLACK
    for quoted, needle in ((False, head), (True, json.dumps(head)[1:-1])):
        at, end = region
        for _ in range(_MAX_LOOKS):
            at = content.find(needle.encode(), at, end)
            if at < 0:
                break
            found = _parsed(content, at, min(end, at + longest), wanted, quoted=quoted)
            if found:
                yield found
            at = found.end if found else at + 1


def _parsed(content: mmap.mmap, at: int, end: int, wanted: Mapping[str, Any], *, quoted: bool) -> _Found | None:
    """What begins at `at`, when it is the workflow."""
    begin = at - 1 if quoted else at
    if quoted and content[begin : begin + 1] != b'"':
        return None
    text = content[begin:end].decode("utf-8", "surrogateescape")
    try:
        value, stop = json.JSONDecoder().raw_decode(text)
        if _bare(json.loads(value) if quoted else value) != wanted:
            return None
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None
    length = len(text[:stop].encode("utf-8", "surrogateescape"))
    return _Found(at, begin + length - quoted, quoted)


def _bare(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a workflow the one that was given."""
    return {
        node_id: (node["class_type"], {name: value for name, value in node["inputs"].items() if name != _NONCE})
        for node_id, node in workflow.items()
    }


def _fitting(own: Workflow, found: _Found) -> bytes | None:
    for separators in (None, (",", ":")):
        text = json.dumps(own, separators=separators)
        content = (json.dumps(text)[1:-1] if found.quoted else text).encode()
        if len(content) <= found.end - found.start:
            return content.ljust(found.end - found.start)
    return None
