"""The result dict as callers get it, the same in every mode. Knows no sink, no SDK."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import Detail, WorkerError
from .ports import DeliveredFile, OutputText

# Lists a result may hold, by the first part of an entry's media type.
_LISTS = {"image": "images", "video": "videos", "audio": "audio"}


def success(files: Sequence[DeliveredFile], texts: Sequence[OutputText], warnings: Sequence[Detail]) -> dict[str, Any]:
    """`{"images": […], "videos"?, "audio"?, "files"?, "text"?, "errors"?}`, or `success_no_images` when nothing came.

    `filename`, `type` and `data` are worker-comfyui's; the other keys of an entry ride along.
    """
    result: dict[str, Any] = {"images": []}
    if not files and not texts:
        result = {"status": "success_no_images", "images": []}
    for file in files:
        result.setdefault(_list_for(file.file.mime_type), []).append(_entry(file))
    if texts:
        result["text"] = [_text_entry(text) for text in texts]
    if warnings:
        result["errors"] = [_clean(_sentence(warning)) for warning in warnings]
        result["details"] = [_clean(warning) for warning in warnings]
    return result


def failure(error: WorkerError, partial: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`{"error", "code", "retryable", "details"}`, with the outputs made before the failure where there are any."""
    result: dict[str, Any] = {
        "error": _clean(error.message),
        "code": error.code,
        "retryable": error.retryable,
        "details": [_clean(detail) for detail in error.details],
    }
    if partial and partial.get("status") != "success_no_images":
        result["details"] += partial.get("details", [])
        result |= {key: value for key, value in partial.items() if key not in result}
    return result


def _sentence(warning: Detail) -> str:
    node = warning.get("node_id")
    place = f"Node {node} ({warning['class_type']}): " if node and "class_type" in warning else ""
    return place + warning.get("message", "")


def _list_for(mime_type: str) -> str:
    return _LISTS.get(mime_type.partition("/")[0], "files")


def _entry(delivered: DeliveredFile) -> dict[str, Any]:
    file = delivered.file
    entry: dict[str, Any] = {
        "filename": _clean(file.filename),
        "type": delivered.where.type,
        "data": delivered.where.data,
        "node_id": file.node_id,
        "subfolder": _clean(file.subfolder),
        "mime_type": file.mime_type,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "cached": file.reused,
    }
    if delivered.width is not None:
        entry |= {"width": delivered.width, "height": delivered.height}
    if delivered.original is not None:
        entry["original"] = _original(delivered.original)
    if delivered.note is not None:
        entry["note"] = delivered.note
    return entry


def _original(delivered: DeliveredFile) -> dict[str, Any]:
    keys = ("filename", "type", "data", "mime_type", "size_bytes", "sha256")
    entry = _entry(delivered)
    return {key: entry[key] for key in keys}


def _text_entry(text: OutputText) -> dict[str, Any]:
    return {
        "filename": f"{text.node_id}_{text.key}_{text.index}.txt",
        "type": "text",
        "data": _clean(text.text),
        "node_id": text.node_id,
        "cached": text.reused,
    }


def _clean(value: Any) -> Any:
    """The value as strict JSON can carry it: ComfyUI passes on NaN and lone surrogates, a poster would drop the job."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(_clean(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [_clean(item) for item in value]
    return value if value is None or isinstance(value, int) else str(value)
