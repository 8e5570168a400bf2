"""What a run has put out, taken apart: files to be fetched, and texts."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..comfyui.history import HistoryFile
from ..jobs.ports import OutputText
from ..remote.result import RemoteFile
from .rows import Row, RunState

_OCTETS = "application/octet-stream"
# Their word for what stays behind.
_TEMP = "temp"


def outputs_of(run: RunState, *, include_temp: bool = False) -> tuple[list[RemoteFile], tuple[OutputText, ...]]:
    """The files and texts in their order. A node's output may be told twice, the later time with its URLs."""
    files: dict[tuple[str, str, str], RemoteFile] = {}
    texts: dict[tuple[str, str, int], OutputText] = {}
    for row in run.outputs:
        data = row.get("data")
        node_id = _node_of(row)
        for key, value in data.items() if isinstance(data, Mapping) else ():
            for index, entry in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(entry, str | bool) and key != "error":
                    texts[node_id, key, index] = OutputText(node_id, key, index, str(entry), reused=False)
                elif isinstance(entry, Mapping) and (include_temp or entry.get("type") != _TEMP):
                    file = _file(node_id, key, index, entry)
                    if file is not None:
                        files[node_id, key, file.filename] = file
    return list(files.values()), tuple(texts.values())


def errors_of(run: RunState) -> Iterator[str]:
    """What the run says of why it failed, as far as it says anything."""
    for row in run.outputs:
        data = row.get("data")
        error = data.get("error") if isinstance(data, Mapping) else None
        if isinstance(error, str):
            yield error
        elif isinstance(error, Mapping):
            # ComfyUI's own, or the name of what was raised there; its stack trace is left where it is.
            told = error.get("error") if isinstance(error.get("error"), Mapping) else error
            yield str(told.get("message") or told.get("error_type") or "it gave no reason")  # type: ignore[union-attr]


def _node_of(row: Row) -> str:
    meta = row.get("node_meta")
    node = meta.get("node_id") if isinstance(meta, Mapping) else None
    return str(node or row.get("node_id") or row.get("output_id") or "")


def _file(node_id: str, key: str, index: int, entry: Mapping[str, Any]) -> RemoteFile | None:
    """The file behind an entry; None for one without an address, or with a name that leads elsewhere."""
    url = entry.get("url")
    name, subfolder = str(entry.get("filename") or f"{key}-{index}"), str(entry.get("subfolder") or "")
    plain = HistoryFile(node_id, key, index, name, subfolder, "output").plain
    if not isinstance(url, str) or plain is None:
        return None
    mime_type = str(entry.get("content_type") or entry.get("format") or _OCTETS)
    return RemoteFile(node_id, key, index, *plain, "url", url, mime_type)
