"""Uploads: files sent ahead of the jobs that use them, as raw bodies or in pieces that outlast broken connections."""

import asyncio
from email.utils import formatdate
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ..errors import InvalidInput, UploadNotFound
from ..jobs.incoming import Incoming
from ..jobs.upload_session import UploadSession
from ..jobs.uploads import Upload, Uploads
from .answers import answer

# Pieces from the socket are gathered: a switch of threads per 64 kB would cost more than the writing.
_WRITTEN_AT_ONCE_BYTES = 1_000_000
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_SESSION_ID = "0f8e2c6b7a9d4e1c8b5a3d2f1e0c9b8a"
_HASH = r"^[0-9a-f]{64}$"
# 64 bits hold every size there is.
_MOST = 2**63 - 1
_TUS = "Tus-Resumable"
_TUS_VERSION = "1.0.0"
_NO_STORE = {"Cache-Control": "no-store"}
_RAW: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_UPLOAD = (
    "The body is the file itself (`curl --data-binary @photo.png`), not a form. The answer's `ref` is what an entry of "
    "`images` takes as its `image`. Equal files are kept once; with `?sha256=` one that is here already is not sent "
    "again (200), and a body with another hash is refused (422). Uploads go when no job has used them for a day.\n\n"
    "With `?size=` (or the header `Upload-Length`) and an empty body a session is begun (201, `Location`): PATCH it "
    "with `Upload-Offset` and the next bytes; what has come stays when the connection breaks, and GET or HEAD tell the "
    "offset from which to go on. This is tus 1.0.0 with the extensions creation, termination and expiration, as far as "
    "clients need it: no checksum, no concatenation, no body in the first POST."
)

Hash = Annotated[str | None, Query(pattern=_HASH, description="sha256 of the whole file, in hex", examples=[_SHA256])]
HashPath = Annotated[str, Path(pattern=_HASH)]


class Uploaded(BaseModel):
    """A file that is kept until `expires_at` (epoch seconds), or longer when jobs use it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "ref": f"upload:{_SHA256}",
                "sha256": _SHA256,
                "size_bytes": 7340032,
                "expires_at": 1704153600.0,
            }
        }
    )
    ref: str
    sha256: str
    size_bytes: int
    expires_at: float


class UploadProgress(BaseModel):
    """An upload in pieces. `ref` is there when it is complete."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "session_id": _SESSION_ID,
                "offset_bytes": 4194304,
                "size_bytes": 7340032,
                "expires_at": 1704153600.0,
                "ref": None,
            }
        }
    )
    session_id: str
    offset_bytes: int
    size_bytes: int
    expires_at: float
    ref: str | None


def router(uploads: Uploads) -> APIRouter:
    """/uploads, /uploads/{sha256} and /uploads/sessions/{session_id}."""
    routes = APIRouter(tags=["uploads"])

    @routes.post(
        "/uploads",
        summary="Send a file, or begin to send it in pieces",
        description=_UPLOAD,
        status_code=201,
        responses={
            201: {"model": Uploaded | UploadProgress, "description": "The file is kept, or the session is begun"},
            200: {"model": Uploaded, "description": "The file was here already"},
        },
        openapi_extra=_RAW,
    )
    async def upload(
        request: Request,
        sha256: Hash = None,
        size: Annotated[
            int | None, Query(ge=1, le=_MOST, description="Begin a session for so many bytes", examples=[7340032])
        ] = None,
        upload_length: Annotated[int | None, Header(ge=1, le=_MOST, examples=[7340032])] = None,
    ) -> Response:
        _check_body(request)
        known_upload = await asyncio.to_thread(_known, uploads, sha256) if sha256 else None
        if known_upload is not None:
            return answer(_uploaded(known_upload))
        wanted_bytes = size if size is not None else upload_length
        if wanted_bytes is None:
            return answer(_uploaded(await _received(request, uploads, sha256)), HTTPStatus.CREATED)
        if _announced_bytes(request):
            raise InvalidInput("A session is begun with an empty body: send the file with PATCH, or without a size.")
        session = await asyncio.to_thread(uploads.open_session, wanted_bytes, sha256)
        location = {"Location": f"/uploads/sessions/{session.id}"}
        return answer(_progress(session), HTTPStatus.CREATED, {**location, **_session_headers(session)})

    @routes.get(
        "/uploads/{sha256}",
        summary="Whether a file is here",
        responses={200: {"model": Uploaded, "description": "It is, and is kept for another while"}},
    )
    def known(sha256: HashPath) -> Response:
        return answer(_uploaded(uploads.get(sha256)))

    @routes.delete("/uploads/{sha256}", summary="Forget a file", status_code=204, response_class=Response)
    def forget(sha256: HashPath) -> Response:
        """Jobs that were submitted with it have it and go on; later ones need it sent again."""
        uploads.remove(sha256)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    _add_sessions(routes, uploads)
    return routes


def _add_sessions(routes: APIRouter, uploads: Uploads) -> None:
    path = "/uploads/sessions/{session_id}"
    told: dict[int | str, dict[str, Any]] = {200: {"model": UploadProgress, "description": "How far it is"}}

    @routes.get(path, summary="How far an upload in pieces is", responses=told)
    def look(session_id: str) -> Response:
        """The header `Upload-Offset` says where to go on, also to HEAD."""
        session = uploads.session(session_id)
        return answer(_progress(session), HTTPStatus.OK, _session_headers(session))

    @routes.patch(
        path,
        summary="Send the next bytes of an upload in pieces",
        status_code=200,
        responses={**told, 204: {"description": "The same without a body, to callers that send Tus-Resumable"}},
        openapi_extra=_RAW,
    )
    async def append(
        request: Request, session_id: str, upload_offset: Annotated[int, Header(ge=0, le=_MOST, examples=[4194304])]
    ) -> Response:
        """Answers when the bytes are on the disk. The last piece keeps the file; its `ref` is in the answer."""
        _check_body(request)
        session = await _appended(request, uploads, session_id, upload_offset)
        headers = _session_headers(session)
        if _TUS in request.headers:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        return answer(_progress(session), HTTPStatus.OK, headers)

    @routes.delete(path, summary="Give an upload in pieces up", status_code=204, response_class=Response)
    def give_up(session_id: str) -> Response:
        uploads.end_session(session_id)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={_TUS: _TUS_VERSION})


async def _received(request: Request, uploads: Uploads, sha256: str | None) -> Upload:
    with await asyncio.to_thread(uploads.begin, _announced_bytes(request)) as incoming:
        await _pour(request, incoming)
        if incoming.size_bytes == 0:
            raise InvalidInput("The body is empty: send the file as the body, or its size as ?size= to send it later.")
        return await asyncio.to_thread(uploads.keep, incoming, sha256)


async def _appended(request: Request, uploads: Uploads, session_id: str, offset_bytes: int) -> UploadSession:
    session = await asyncio.to_thread(uploads.session, session_id)
    incoming = await asyncio.to_thread(uploads.resume, session_id, offset_bytes)
    with incoming:
        if offset_bytes + _announced_bytes(request) > session.size_bytes:
            left_bytes = session.size_bytes - offset_bytes
            raise InvalidInput(f"The session takes {left_bytes} more bytes, not {_announced_bytes(request)}.")
        await _pour(request, incoming)
        return await asyncio.to_thread(uploads.settle, session, incoming)


async def _pour(request: Request, incoming: Incoming) -> None:
    waiting = bytearray()
    try:
        async for piece in request.stream():
            waiting += piece
            if len(waiting) >= _WRITTEN_AT_ONCE_BYTES:
                await asyncio.to_thread(incoming.write, bytes(waiting))
                waiting.clear()
    except (ClientDisconnect, HTTPException):
        # Of an upload in pieces as much as possible stays.
        await asyncio.to_thread(incoming.write, bytes(waiting))
        raise
    await asyncio.to_thread(incoming.write, bytes(waiting))


def _check_body(request: Request) -> None:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "Compressed bodies are not taken: send the file without Content-Encoding.")
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise HTTPException(415, "The body is to be the file itself, not a form: curl --data-binary @file.")


def _announced_bytes(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _known(uploads: Uploads, sha256: str) -> Upload | None:
    try:
        return uploads.get(sha256)
    except UploadNotFound:
        return None


def _uploaded(upload: Upload) -> dict[str, Any]:
    return {
        "ref": upload.ref,
        "sha256": upload.sha256,
        "size_bytes": upload.size_bytes,
        "expires_at": upload.expires_at,
    }


def _progress(session: UploadSession) -> dict[str, Any]:
    return {
        "session_id": session.id,
        "offset_bytes": session.offset_bytes,
        "size_bytes": session.size_bytes,
        "expires_at": session.expires_at,
        "ref": session.ref,
    }


def _session_headers(session: UploadSession) -> dict[str, str]:
    return {
        **_NO_STORE,
        _TUS: _TUS_VERSION,
        "Upload-Offset": str(session.offset_bytes),
        "Upload-Length": str(session.size_bytes),
        "Upload-Expires": formatdate(session.expires_at, usegmt=True),
        **({"Upload-Ref": session.ref} if session.ref else {}),
    }
