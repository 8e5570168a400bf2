"""Takes a result dict of this worker (or of worker-comfyui) apart into what the run has made there."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..comfyui.history import HistoryFile
from ..errors import Detail, WorkerError
from ..jobs.ports import OutputText
from .failures import details_of, error_of

_LISTS = ("images", "videos", "audio", "files")
_OCTETS = "application/octet-stream"
_INDEX_DIGITS = 9
_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]{0,300}")
_FACT_CHARS = 300
_SCALAR = (str, int, float, type(None))
_LONGEST_S = 10_000_000
_MEDIA_TYPE = re.compile(r"[a-z0-9]+/[a-z0-9.+-]{1,80}")
# What a receipt holds besides the facts of the run.
_NO_FACTS = frozenset(
    {"job_id", "workflow_sha256", "seeds", "models", "worker_version", "input", "left_out", "stages_s"}
)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An output that is still there: `type` is base64, s3_url, url or file, `data` the content or where it is.

    `whole` says of a preview where the file itself is.
    """

    node_id: str
    key: str
    index: int
    filename: str
    subfolder: str
    type: str
    data: str = field(repr=False)
    mime_type: str = _OCTETS
    sha256: str | None = None
    reused: bool = False
    whole: "RemoteFile | None" = None


@dataclass(frozen=True, slots=True)
class RemoteResult:
    """What a run has made. `lost` tells of entries that make no sense."""

    files: tuple[RemoteFile, ...] = ()
    texts: tuple[OutputText, ...] = ()
    warnings: tuple[Detail, ...] = ()
    failure: WorkerError | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    stages_s: Mapping[str, Any] = field(default_factory=dict)


def read(output: Mapping[str, Any], error: Any = None) -> RemoteResult:
    """From the result dict; `error` is the text of its failure where that stands beside it."""
    error = output.get("error") if error is None else error
    files, unusable = _files(output)
    own, warnings = _split(output)
    receipt, stages_s = output.get("receipt"), output.get("timings_s")
    return RemoteResult(
        files=tuple(files),
        texts=tuple(_texts(output)),
        warnings=(*warnings, *unusable),
        failure=None if error is None else error_of(error, output, own),
        facts=_facts(receipt) if isinstance(receipt, dict) else {},
        stages_s=stages_s if isinstance(stages_s, dict) else {},
    )


def seconds(told: Any, per_second: int = 1) -> float | None:
    """A time that an endpoint tells; None for what can be none."""
    is_time = isinstance(told, int | float) and 0 <= told <= _LONGEST_S * per_second
    return told / per_second if is_time else None


def _facts(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """Short ones only: they become part of the job's own receipt."""
    facts = {key: value for key, value in receipt.items() if key not in _NO_FACTS and isinstance(value, _SCALAR)}
    return {key: value for key, value in facts.items() if len(key) + len(str(value)) <= _FACT_CHARS}


def _split(output: Mapping[str, Any]) -> tuple[list[Detail], list[Detail]]:
    """The details of the failure, and the warnings that came with the outputs: each of those has a sentence too."""
    sentences = details_of(output.get("errors"))
    details = details_of(output.get("details"))
    if len(details) < len(sentences):
        return details, sentences
    at = len(details) - len(sentences)
    return details[:at], details[at:]


def _files(output: Mapping[str, Any]) -> tuple[list[RemoteFile], list[Detail]]:
    counts: Counter[tuple[str, str]] = Counter()
    files: list[RemoteFile] = []
    unusable: list[Detail] = []
    for key in _LISTS:
        for entry in _entries(output.get(key)):
            node_id = _plain(entry.get("node_id"))
            file = _file(entry, node_id, key, counts[node_id, key])
            counts[node_id, key] += 1
            if file is None:
                message = f"An entry of {key} makes no sense and was left out of the result."
                unusable.append(Detail(node_id=node_id, code="output_missing", message=message))
            else:
                files.append(file)
    return files, unusable


def _file(entry: Mapping[str, Any], node_id: str, key: str, index: int) -> RemoteFile | None:
    name, subfolder = entry.get("filename"), entry.get("subfolder") or ""
    if not (isinstance(name, str) and isinstance(subfolder, str) and isinstance(entry.get("data"), str)):
        return None
    plain = HistoryFile(node_id, key, index, name, subfolder, "output").plain
    if plain is None:
        return None
    original = entry.get("original")
    return RemoteFile(
        node_id=node_id,
        key=key,
        index=index,
        filename=plain[0],
        subfolder=plain[1],
        type=str(entry.get("type")),
        data=entry["data"],
        mime_type=_media_type(entry.get("mime_type")),
        sha256=str(entry["sha256"]) if entry.get("sha256") else None,
        reused=entry.get("cached") is True,
        whole=_file({**original, "subfolder": subfolder}, node_id, key, index) if isinstance(original, dict) else None,
    )


def _plain(given: Any) -> str:
    """It becomes part of a file's name; empty where it could not."""
    return given if isinstance(given, str) and _NAME.fullmatch(given) else ""


def _media_type(given: Any) -> str:
    """It becomes a header of ours."""
    return given if isinstance(given, str) and _MEDIA_TYPE.fullmatch(given) else _OCTETS


def _texts(output: Mapping[str, Any]) -> Iterator[OutputText]:
    for at, entry in enumerate(_entries(output.get("text"))):
        node_id, name = _plain(entry.get("node_id")), _plain(entry.get("filename"))
        # `{node_id}_{key}_{index}.txt`; either of the first two may have underscores of its own.
        key, _, index = name.removeprefix(f"{node_id}_").removesuffix(".txt").rpartition("_")
        number = int(index) if index.isdecimal() and len(index) <= _INDEX_DIGITS else at
        yield OutputText(node_id, key or "text", number, str(entry.get("data") or ""), entry.get("cached") is True)


def _entries(given: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in given if isinstance(entry, dict)] if isinstance(given, list) else []
