"""The live view over WebSockets: the frames of the event streams as messages, for as many jobs as are asked for."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, HTTPException, WebSocket, WebSocketDisconnect

from ..errors import Forbidden, InvalidInput, RateLimited, WorkerError
from ..ids import JobId
from ..jobs.view import Frame
from ..jobs.watching import Frames, Watch
from .auth import LINKED, UNPROVEN
from .dialects import job_id_of
from .open_streams import OneMore
from .socket_messages import next_message
from .streaming import SocketEvent, as_message

# For the door: a browser cannot send a key before its first message.
LATE_PATHS = ("/ws",)
_KEY_WAIT_S = 5.0
_MAX_JOBS = 100
_MAX_ID = 100
_NORMAL, _POLICY = 1000, 1008
# In place of a job id: all jobs.
_ALL = JobId("")
_SOCKET = (
    "To be opened as a WebSocket; other requests get 426. Messages from it are JSON, `{event, id, data}`: the events "
    "of `/events/{job_id}`, and answers. `/ws/{job_id}` follows one job; `/ws` as many as are asked for, with messages "
    '`{"action": "subscribe", "job_id": …, "previews"?, "last_event_id"?}`, `{"action": "unsubscribe", "job_id": …}`, '
    '`{"action": "ping"}`; without `job_id` it is all jobs. The key goes into a header, a link\'s `?token=`, or the '
    'first message, `{"action": "auth", "key": …}`, within 5 s.'
)
_MESSAGES: dict[int | str, dict[str, Any]] = {
    200: {"model": SocketEvent, "description": "What comes over the open socket; the schema is that of one message"}
}

IsKey = Callable[[str], bool]


def router(watch: Watch, is_key: IsKey, key_wait_s: float = _KEY_WAIT_S) -> APIRouter:
    """/ws and /ws/{job_id}; `is_key` says whether a key that came in a message, in so long, is a valid one."""
    routes = APIRouter(tags=["live"])

    @routes.get("/ws", summary="Follow jobs over a WebSocket", description=_SOCKET, responses=_MESSAGES)
    def no_socket() -> None:
        raise HTTPException(HTTPStatus.UPGRADE_REQUIRED, "Open this as a WebSocket.", {"Upgrade": "websocket"})

    @routes.websocket("/ws")
    async def many(websocket: WebSocket) -> None:
        conversation = _Conversation(websocket, watch, key_wait_s)
        if await conversation.open(is_key):
            await conversation.run()

    @routes.websocket("/ws/{job_id}")
    async def one(websocket: WebSocket, job_id: str, previews: bool = False, last_event_id: str | None = None) -> None:
        conversation = _Conversation(
            websocket, watch, key_wait_s, only=job_id if _caller(websocket) == LINKED else None
        )
        if not _is_unproven(websocket):
            # Before the handshake, so that it fails with 404.
            await watch.job(job_id_of(job_id))
        if await conversation.open(is_key):
            await conversation.run(conversation.follow_one(job_id, (last_event_id or "")[:_MAX_ID], previews))

    return routes


class _Conversation:
    """One socket: messages in, frames out. A task per job that is followed; with `only`, of that job and no other."""

    def __init__(self, websocket: WebSocket, watch: Watch, key_wait_s: float, only: str | None = None) -> None:
        self._socket = websocket
        self._watch = watch
        self._key_wait_s = key_wait_s
        self._only = only
        self._one_more: OneMore = websocket.state.one_more
        self._followed: dict[JobId, asyncio.Task[None]] = {}

    async def open(self, is_key: IsKey) -> bool:
        """Accept the socket; False when it was closed again for want of a key."""
        await self._socket.accept()
        if not _is_unproven(self._socket):
            return True
        with contextlib.suppress(TimeoutError, ValueError, RecursionError, WebSocketDisconnect):
            message = await asyncio.wait_for(next_message(self._socket), self._key_wait_s)
            if message.get("action") == "auth" and is_key(str(message.get("key", ""))):
                await self._send(Frame("authenticated", {}))
                return True
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.close(_POLICY, "A valid API key is needed.")
        return False

    async def run(self, first: Coroutine[Any, Any, None] | None = None) -> None:
        """Talk until either side hangs up; with `first`, until that is done."""
        tasks = [asyncio.create_task(self._listen())] + ([asyncio.create_task(first)] if first else [])
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except WebSocketDisconnect:
            pass
        finally:
            await _end(*tasks, *self._followed.values())

    async def follow_one(self, job_id: str, last_id: str, previews: bool) -> None:
        """Send a job's frames and hang up after the last one."""
        try:
            await self._pass_on(self._watch.frames(job_id_of(job_id), last_id or None, previews=previews))
        except WorkerError as error:
            await self._refuse(error)
        await self._socket.close(_NORMAL)

    async def _listen(self) -> None:
        while True:
            try:
                await self._answer(await next_message(self._socket))
            except WorkerError as error:
                await self._refuse(error)
            except (ValueError, RecursionError):
                await self._refuse(InvalidInput('Messages are JSON objects like {"action": "subscribe", "job_id": …}.'))

    async def _answer(self, message: dict[str, Any]) -> None:
        job_id = job_id_of(str(message["job_id"])) if message.get("job_id") else _ALL
        match message.get("action"):
            case "subscribe":
                await self._subscribe(job_id, str(message.get("last_event_id") or ""), bool(message.get("previews")))
            case "unsubscribe":
                await _end(*filter(None, [self._followed.pop(job_id, None)]))
                await self._send(Frame("unsubscribed", {"job_id": job_id or None}))
            case "ping":
                await self._send(Frame("pong", {}))
            case "auth":
                await self._send(Frame("authenticated", {}))
            case _:
                raise InvalidInput("action is one of subscribe, unsubscribe, ping and auth.")

    async def _subscribe(self, job_id: JobId, last_id: str, previews: bool) -> None:
        if self._only is not None and job_id != self._only:
            raise Forbidden("The link of this socket opens its job only; other jobs need an API key.")
        if len(self._followed) >= _MAX_JOBS:
            raise RateLimited(f"A socket follows {_MAX_JOBS} jobs at most; unsubscribe from some, or open another.", 1)
        if job_id != _ALL:
            await self._watch.job(job_id)
        # Asked for again, it begins anew.
        await _end(*filter(None, [self._followed.pop(job_id, None)]))
        frames = (
            self._watch.all_frames()
            if job_id == _ALL
            else self._watch.frames(job_id, last_id[:_MAX_ID] or None, previews=previews)
        )
        self._followed[job_id] = asyncio.create_task(self._follow(job_id, frames))

    async def _follow(self, job_id: JobId, frames: Frames) -> None:
        try:
            with self._one_more():
                await self._pass_on(frames)
        except WorkerError as error:
            await self._refuse(error)
        except WebSocketDisconnect:
            return  # the listening task hears of it as well, and ends everything
        if self._followed.get(job_id) is asyncio.current_task():
            del self._followed[job_id]

    async def _pass_on(self, frames: Frames) -> None:
        async with contextlib.aclosing(frames):
            async for frame in frames:
                if frame is not None:
                    await self._send(frame)

    async def _refuse(self, error: WorkerError) -> None:
        await self._send(Frame("error", {"code": error.code, "message": error.message}))

    async def _send(self, frame: Frame) -> None:
        await self._socket.send_text(as_message(frame))


def _caller(websocket: WebSocket) -> str | None:
    return getattr(websocket.state, "caller", None)


def _is_unproven(websocket: WebSocket) -> bool:
    return _caller(websocket) == UNPROVEN


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
