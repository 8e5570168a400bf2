"""One file as an answer: whole or a range, cached by its content, harmless in a browser. Knows no route and no job."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import IO, Annotated, Any, NamedTuple, Self
from urllib.parse import quote

from fastapi import Header
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException

from ..errors import OutputUnavailable
from ..jobs.results import OutputRef

_CHUNK_BYTES = 256 * 1024
# One range; of several at once the whole file is sent, as RFC 9110 allows.
_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*", re.IGNORECASE)
_SHOWN = ("image/", "video/", "audio/")
# Pictures by name, and documents that run scripts all the same.
_SCRIPTED = re.compile(r"image/svg|html|xml|javascript", re.IGNORECASE)
# It is its caller's own.
_LASTING = "private, max-age=31536000, immutable"
_CHANGING = "private, no-cache"
_HARMLESS = {"Content-Security-Policy": "default-src 'none'; sandbox"}
_BINARY = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": _BINARY},
    206: {"description": "The range of it that was asked for", "content": _BINARY},
    304: {"description": "The caller has it already"},
}
Range = Annotated[str | None, Header(alias="Range", examples=["bytes=0-1023"])]
IfRange = Annotated[str | None, Header(alias="If-Range", examples=['"9f86d081"'])]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", examples=['"9f86d081"'])]


@dataclass(frozen=True, slots=True)
class SentFile:
    """`tag` tells one content from another; what is `lasting` never changes under its address."""

    path: Path
    filename: str
    mime_type: str
    size_bytes: int
    tag: str
    lasting: bool = True

    @classmethod
    def of(cls, output: OutputRef) -> Self:
        """An output the worker keeps."""
        mime_type = output.mime_type or "application/octet-stream"
        return cls(output.path, output.filename, mime_type, output.size_bytes, output.sha256)


class Condition(NamedTuple):
    """The headers by which a caller asks for part of a file, or says which one it has."""

    wanted: str | None = None
    if_range: str | None = None
    if_none_match: str | None = None


def send_output(output: OutputRef, condition: Condition = Condition()) -> Response:  # noqa: B008 - it is frozen
    """A job's file as its result, which may be another one when the job runs again. Raises OutputUnavailable."""
    return send(replace(SentFile.of(output), lasting=False), *condition, whole=True)


def send(
    file: SentFile, wanted: str | None, if_range: str | None, if_none_match: str | None, *, whole: bool
) -> Response:
    """The answer to a GET with those headers, or to a HEAD when not `whole`. Raises OutputUnavailable, HTTP's 416."""
    headers = headers_of(file.filename, file.mime_type, file.tag, lasting=file.lasting)
    if has_it(if_none_match, file.tag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if wanted is not None and if_range is not None and if_range.strip() != headers["ETag"]:
        wanted = None
    return _sent(file, headers, _span(wanted, file.size_bytes), whole=whole)


def has_it(if_none_match: str | None, tag: str) -> bool:
    """Whether the caller has the content of that tag."""
    tags = (each.strip().removeprefix("W/") for each in (if_none_match or "").split(","))
    return any(each in {f'"{tag}"', "*"} for each in tags)


def is_one_range(wanted: str | None) -> bool:
    """Whether a Range header is one that is obeyed; others are as none at all."""
    match = _RANGE.fullmatch(wanted) if wanted else None
    return match is not None and match.groups() != ("", "")


def headers_of(filename: str, mime_type: str, tag: str, *, lasting: bool = True) -> dict[str, str]:
    """What every answer about the file says."""
    inline = mime_type.startswith(_SHOWN) and not _SCRIPTED.search(mime_type)
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": _LASTING if lasting else _CHANGING,
        "X-Content-Type-Options": "nosniff",
        **({} if inline else _HARMLESS),
        "ETag": f'"{tag}"',
        "Content-Type": mime_type,
        "Content-Disposition": _disposition("inline" if inline else "attachment", filename),
    }


def _disposition(kind: str, filename: str) -> str:
    name = filename.rpartition("/")[2]
    plain = re.sub(r'[^ -~]|["\\%]', "_", name)
    # The plain one for clients that know no RFC 8187.
    encoded = f"; filename*=UTF-8''{quote(name, safe='')}" if plain != name else ""
    return f'{kind}; filename="{plain}"{encoded}'


def _span(wanted: str | None, size_bytes: int) -> range | None:
    """The bytes of a Range header; None for the whole. Raises 416 for those that are not there."""
    match = _RANGE.fullmatch(wanted) if wanted else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        span = range(max(size_bytes - int(last), 0), size_bytes)
    elif last and int(last) < int(first):
        return None  # no range at all, says RFC 9110: to be ignored
    else:
        span = range(int(first), min(int(last) + 1, size_bytes) if last else size_bytes)
    if not span:
        raise HTTPException(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"The output has {size_bytes} bytes; none of them are in the range.",
            {"Content-Range": f"bytes */{size_bytes}"},
        )
    return span


def _sent(output: SentFile, headers: Mapping[str, str], span: range | None, *, whole: bool) -> Response:
    status = HTTPStatus.OK if span is None else HTTPStatus.PARTIAL_CONTENT
    part = range(output.size_bytes) if span is None else span
    headers = {**headers, "Content-Length": str(len(part))}
    if span is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{output.size_bytes}"
    try:
        # Open from here on: it can be sent to its end even when the job is deleted meanwhile.
        file = output.path.open("rb")
    except OSError:
        raise OutputUnavailable(f"The output {output.filename} is no longer on the worker's disk.") from None
    if not whole:
        file.close()
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_read(file, part), status, headers)


def _read(file: IO[bytes], part: range) -> Iterator[bytes]:
    with file:
        file.seek(part.start)
        left = len(part)
        while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
