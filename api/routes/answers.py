"""Answers about jobs. Results hold megabytes of base64: large ones are encoded from the files while they are sent."""

import base64
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from starlette.responses import Response, StreamingResponse

from ..errors import OutputUnavailable
from ..jobs.job import Job, Status
from ..jobs.results import OutputRef
from ..jobs.service import JobService
from .links import Link

_JSON = "application/json"
# Above it, copies of the whole and holding up the other threads for them cost more than being sent in pieces.
_SENT_WHOLE_BYTES = 256 * 1024
# Divisible by 3, so that pieces of base64 put together are base64.
_PIECE_BYTES = 3 * 256 * 1024
_MARK = re.compile(r"(content-[0-9a-f]{32})")

Describe = Callable[[Job, Mapping[str, Any] | None], Mapping[str, Any]]
Piece = str | OutputRef


def answer(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The body as JSON."""
    return Response(_encoded(body).encode(), status, headers, _JSON)


def job_answer(
    service: JobService,
    job: Job,
    describe: Describe,
    link: Link | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """What `describe` makes of the job and, if it has ended, its result: with base64, or what `link` makes of outputs.

    Reads files, so in a thread. Raises OutputUnavailable, or JobNotFound when the job was cleaned up meanwhile.
    """
    contents: dict[str, OutputRef] = {}

    def mark(output: OutputRef) -> str:
        token = f"content-{secrets.token_hex(16)}"
        contents[token] = output
        return token

    result = _result_of(service, job, link or mark)
    if result is not None and contents:
        _call_base64(result, contents)
    text = _encoded(describe(job, result))
    if not contents:
        return Response(text.encode(), headers=headers, media_type=_JSON)
    pieces: list[Piece] = [contents.get(part, part) for part in _MARK.split(text)]
    try:
        size_bytes = sum(map(_size, pieces))
    except OSError as error:
        raise _gone(service, job) from error
    if size_bytes <= _SENT_WHOLE_BYTES:
        return Response(b"".join(_sent(pieces)), headers=headers, media_type=_JSON)
    return StreamingResponse(
        _sent(pieces), headers={**(headers or {}), "Content-Length": str(size_bytes)}, media_type=_JSON
    )


def _encoded(body: Mapping[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))


def _result_of(service: JobService, job: Job, link: Link) -> dict[str, Any] | None:
    if not job.is_terminal:
        return None
    result = service.result(job, link)
    if result is None and job.status is Status.SUCCEEDED:
        raise _gone(service, job)
    return result


def marked_result(service: JobService, job: Job) -> tuple[dict[str, Any], dict[str, OutputRef]]:
    """The result with a mark in place of each output's link, and the outputs by their marks."""
    kept: dict[str, OutputRef] = {}

    def mark(output: OutputRef) -> str:
        kept[str(output.index)] = output
        return str(output.index)

    return service.result(job, mark) or {}, kept


def _gone(service: JobService, job: Job) -> OutputUnavailable:
    service.get(job.id)  # its JobNotFound says it better
    return OutputUnavailable(f"The outputs of job {job.id} are no longer on the worker's disk; submit the job again.")


def _call_base64(result: Mapping[str, Any], contents: Mapping[str, OutputRef]) -> None:
    """What a link stands for in the result is the content itself here."""
    for entries in result.values():
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and entry.get("data") in contents:
                entry["type"] = "base64"


def _size(piece: Piece) -> int:
    if isinstance(piece, str):
        return len(piece)
    return (piece.path.stat().st_size + 2) // 3 * 4


def _sent(pieces: Sequence[Piece]) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, str):
            yield piece.encode()
            continue
        with piece.path.open("rb") as file:
            while content := file.read(_PIECE_BYTES):
                yield base64.b64encode(content)
