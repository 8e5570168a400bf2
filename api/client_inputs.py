"""The body of a submit: the workflow and its input files, inline, by address or uploaded beforehand."""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Source = str | bytes | Path
_ADDRESSES = ("http", "https", "s3", "data", "upload")


def is_address(source: Source) -> bool:
    """Whether the worker is to fetch it itself (or has it in its text, as with data:)."""
    return isinstance(source, str) and urlsplit(source[:100]).scheme in _ADDRESSES


def image_entries(
    images: Mapping[str, Source], upload: Callable[[Source], str] | None, inline_limit_bytes: int
) -> list[dict[str, str]]:
    """`[{"name", "image"}]`; files over `inline_limit_bytes` go through `upload`, which gives their reference."""
    return [{"name": name, "image": _encoded(source, upload, inline_limit_bytes)} for name, source in images.items()]


def size_of(source: Source) -> int:
    """Bytes. Raises OSError for a file that is not there."""
    return len(source) if isinstance(source, bytes) else Path(source).stat().st_size


def body(
    workflow: Mapping[str, Any],
    images: list[dict[str, str]],
    overrides: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """The input of a job; what is empty is left out."""
    given = {"workflow": workflow, "images": images, "overrides": overrides, **options}
    return {key: value for key, value in given.items() if value not in (None, [], {})}


def _encoded(source: Source, upload: Callable[[Source], str] | None, inline_limit_bytes: int) -> str:
    if isinstance(source, str) and is_address(source):
        return source
    if upload and size_of(source) > inline_limit_bytes:
        return upload(source)
    return base64.b64encode(source if isinstance(source, bytes) else Path(source).read_bytes()).decode()
