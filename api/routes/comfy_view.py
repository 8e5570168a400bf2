"""/api/comfy/view: files by the names prompts give them, from the jobs' outputs or out of a ComfyUI."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Literal
from unicodedata import category

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from ..comfyui.client import ViewStream
from ..errors import Detail, InvalidInput
from ..jobs.files import translated_disk_errors
from ..jobs.results import OutputRef
from ..jobs.service import JobService
from ..outputs.facts import media_type_of
from ..outputs.thumbnail import thumbnail
from ..pool.foreign import Foreign
from .comfy_outputs import find
from .paths import COMFY_VIEW
from .sent_files import ANSWERS, IfNoneMatch, IfRange, Range, SentFile, headers_of, is_one_range, send
from .thumbnails import Side, Thumbnails

PATH = COMFY_VIEW
# What is larger is no picture anybody wants a small one of.
_MOST_SHRUNK_BYTES = 200_000_000

Kind = Literal["output", "temp", "input"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: which file, whatever has it, and what of it. `whole` is false for a HEAD."""

    filename: str
    subfolder: str
    kind: Kind
    instance: str | None
    side: int | None
    wanted: str | None
    if_range: str | None
    if_none_match: str | None
    whole: bool

    def conditions(self) -> dict[str, str]:
        """The headers that are ComfyUI's to obey."""
        found = {"If-None-Match": self.if_none_match, "Range": self.wanted if is_one_range(self.wanted) else None}
        return {name: value for name, value in found.items() if value}

    def is_stale(self, view: ViewStream) -> bool:
        """Whether a part was asked for of another content than this. ComfyUI compares dates only, never tags."""
        has_part = view.status == HTTPStatus.PARTIAL_CONTENT
        return has_part and self.if_range is not None and self.if_range.strip() != f'"{_tag(view)}"'


def router(service: JobService, foreign: Foreign, scratch: Path) -> APIRouter:
    """The route; pictures of a ComfyUI that are made smaller lie in `scratch` meanwhile."""
    routes = APIRouter(tags=["comfy"])
    views = _Views(service, foreign, scratch)

    @routes.get(
        PATH,
        summary="A file by its name",
        description="Names a status or history has told. Takes `Range` (one range), `If-Range` and `If-None-Match`.",
        response_class=StreamingResponse,
        responses={**ANSWERS, 307: {"description": "The file is in the bucket"}},
    )
    def view(
        request: Request,
        filename: Annotated[str, Query(min_length=1, max_length=255, examples=["ComfyUI_00001_.png"])],
        subfolder: Annotated[str, Query(max_length=1000, examples=["550e8400-e29b-41d4-a716-446655440000"])] = "",
        kind: Annotated[Kind, Query(alias="type")] = "output",
        instance: Annotated[
            str | None,
            Query(description="The ComfyUI that has it; none = each is asked", examples=["127.0.0.1:8188"]),
        ] = None,
        side: Side = None,
        wanted: Range = None,
        if_range: IfRange = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        _refuse_traversal(filename, subfolder)
        whole = request.method != "HEAD"
        plain = subfolder.rstrip("/")
        return views.answer(
            Asked(filename, plain, kind, instance, side, wanted, if_range, if_none_match, whole),
        )

    routes.add_api_route(PATH, view, methods=["HEAD"], include_in_schema=False)
    return routes


def _refuse_traversal(filename: str, subfolder: str) -> None:
    for field, text, parts in (("filename", filename, [filename]), ("subfolder", subfolder, subfolder.split("/"))):
        unprintable = any(category(char) in {"Cc", "Cs"} for char in text)
        leads_away = text.startswith("/") or "\\" in text or any(part in {".", ".."} or ":" in part for part in parts)
        if unprintable or leads_away or (field == "filename" and ("/" in text or ".." in text)):
            message = f"{field} must be a plain name below the folder: no .., no absolute path, no backslash."
            raise InvalidInput(message, [Detail(field=f"query.{field}", code="path_traversal", message=message)])


class _Views:
    def __init__(self, service: JobService, foreign: Foreign, scratch: Path) -> None:
        self._service = service
        self._foreign = foreign
        self._scratch = scratch
        self._thumbnails = Thumbnails()

    def answer(self, asked: Asked) -> Response:
        output = find(self._service, asked.filename, asked.subfolder) if asked.kind == "output" else None
        if output and output.kept:
            return self._kept(output.kept, asked)
        if output and output.url:
            return RedirectResponse(output.url)
        return self._fetched(asked)

    def _kept(self, output: OutputRef, asked: Asked) -> Response:
        # The job may run again and make another one.
        file = replace(SentFile.of(output), lasting=False)
        if asked.side is None:
            return send(file, asked.wanted, asked.if_range, asked.if_none_match, whole=asked.whole)
        side = asked.side
        return self._thumbnails.answer(
            file.filename,
            file.tag,
            side,
            asked.if_none_match,
            lambda: thumbnail(file.path, side),
            whole=asked.whole,
            lasting=False,
        )

    def _fetched(self, asked: Asked) -> Response:
        conditions = {} if asked.side else asked.conditions()
        with ExitStack() as stack:
            instance, view = stack.enter_context(
                self._foreign.view(asked.filename, asked.subfolder, asked.kind, conditions, asked.instance)
            )
            if asked.is_stale(view):
                return self._fetched(replace(asked, wanted=None))
            if asked.side is not None:
                return self._shrunk(asked, asked.side, f"{instance} {_tag(view)}", view)
            return _passed_on(asked, view, stack)

    def _shrunk(self, asked: Asked, side: int, content: str, view: ViewStream) -> Response:
        name = f"{content} {asked.kind} {asked.subfolder} {asked.filename}"
        return self._thumbnails.answer(
            asked.filename,
            hashlib.sha256(name.encode()).hexdigest()[:32],
            side,
            asked.if_none_match,
            lambda: self._thumbnail(view, side),
            whole=asked.whole,
            lasting=False,
        )

    def _thumbnail(self, view: ViewStream, side: int) -> bytes | None:
        if (view.size_bytes or 0) > _MOST_SHRUNK_BYTES:
            return None
        with (
            translated_disk_errors(self._scratch),
            tempfile.NamedTemporaryFile(dir=self._scratch, prefix="thumbnail-") as file,
        ):
            for piece in view.chunks():
                file.write(piece)
                if file.tell() > _MOST_SHRUNK_BYTES:
                    return None
            file.flush()
            return thumbnail(Path(file.name), side)


def _passed_on(asked: Asked, view: ViewStream, stack: ExitStack) -> Response:
    """ComfyUI's answer as ours; the connection to it is closed when the body has been sent."""
    place = view.header("Content-Range")
    if view.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise HTTPException(view.status, "None of the file's bytes are in the range.", {"Content-Range": place or ""})
    chunks = view.chunks()
    first = next(chunks, b"")
    # Only its beginning tells what a file is.
    head = first if place is None or place.startswith("bytes 0-") else b""
    mime_type = media_type_of(head, asked.filename, view.content_type)
    headers = headers_of(asked.filename, mime_type, _tag(view), lasting=False)
    if view.status == HTTPStatus.NOT_MODIFIED:
        return Response(status_code=view.status, headers=headers)
    if place:
        headers["Content-Range"] = place
    if view.size_bytes is not None:
        headers["Content-Length"] = str(view.size_bytes)
    if not asked.whole:
        return Response(status_code=view.status, headers=headers)
    return StreamingResponse(_sent(first, chunks, stack.pop_all()), view.status, headers)


def _tag(view: ViewStream) -> str:
    given = (view.header("ETag") or "").strip().removeprefix("W/").strip('"')
    return given or f"{view.size_bytes}-{view.header('Last-Modified')}"


def _sent(first: bytes, chunks: Iterator[bytes], stack: ExitStack) -> Iterator[bytes]:
    with stack:
        yield first
        yield from chunks
