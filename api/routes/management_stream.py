"""/v1/comfyui/stream: a WebSocket that tells what happens to workflows, one of them or all."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict

from ..errors import InvalidInput, RateLimited, WorkerError
from ..jobs.broadcast import Broadcast, Reader, Topic
from .auth import UNPROVEN
from .dialects import job_id_of
from .management_words import ms
from .paths import MANAGEMENT_STREAM
from .socket_messages import next_message

PATH = MANAGEMENT_STREAM
_AUTH_S = 5.0
_IDLE_S = 300.0
_TICKET_LIFE_S = 60.0
_MAX_TOPICS = 100
# Of what is said back: longer is no id of a job.
_LONGEST_ID = 100
_NORMAL = 1000
_NO_KEY = (1008, "A valid API key is needed.")
_TOO_SLOW = (1013, "Too slow; come back.")
_ALL = (None, "", "*", "all")
_STREAM = (
    f"Opens `{PATH}`, a WebSocket, without a key: browsers cannot send one. Elsewhere the key goes into a header, or "
    'into the first message, `{"type": "auth", "key": …}`, within 5 s.\n\n'
    'Messages to it: `{"type": "subscribe", "workflowId": …, "previews"?: true}`, without `workflowId` all workflows; '
    '`{"type": "unsubscribe", "workflowId"?: …}`; `{"type": "ping"}`.\n\n'
    "Messages from it: `workflow:queued` (`queuePosition`), `workflow:started` (`startTime`), `workflow:progress` "
    "(`progress`, `currentNode`), `workflow:preview` (`mimeType`, `data`), `workflow:completed` (`outputs`), "
    "`workflow:cancelled`, `workflow:error` (`error`, `code`), all with `type`, `workflowId` and `timestamp`. Whoever "
    "comes late gets the present state first. `subscribed`, `unsubscribed`, `authenticated`, `pong` and `error` answer "
    "messages."
)

IsKey = Callable[[str], bool]
Sign = Callable[[str, float], str | None]


class StreamTicket(BaseModel):
    """`url` opens the stream without a key until `expiresAt` (epoch milliseconds)."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"url": f"{PATH}?token=1704067260.q83vEjRWeJA", "expiresAt": 1704067260000}}
    )
    url: str
    expiresAt: int  # noqa: N815 - as the rest of this surface


class Clients:
    """How many sockets are open."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1


def router(broadcast: Broadcast, is_key: IsKey, sign: Sign, clients: Clients, *, idle_s: float = _IDLE_S) -> APIRouter:
    """The stream and its tickets; `is_key` says whether a key that came in a message is a valid one."""
    routes = APIRouter(tags=["management"])

    @routes.post(
        f"{PATH}/ticket",
        summary="A ticket to the stream for a browser",
        description=_STREAM,
        responses={200: {"model": StreamTicket, "description": "The ticket"}},
    )
    async def ticket() -> StreamTicket:
        expires_at = float(int(time.time() + _TICKET_LIFE_S))
        token = sign(PATH, expires_at)
        return StreamTicket(url=PATH + (f"?token={quote(token)}" if token else ""), expiresAt=round(expires_at * 1000))

    @routes.websocket(PATH)
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        with clients:
            await _Conversation(websocket, broadcast, is_key, idle_s).run()

    return routes


class _Conversation:
    """One socket: this task reads from it, another one writes."""

    def __init__(self, websocket: WebSocket, broadcast: Broadcast, is_key: IsKey, idle_s: float) -> None:
        self._socket = websocket
        self._broadcast = broadcast
        self._is_key = is_key
        self._idle_s = idle_s
        self._is_proven = getattr(websocket.state, "caller", None) != UNPROVEN
        self._reader = Reader()

    async def run(self) -> None:
        writing = asyncio.create_task(self._write())
        reading = asyncio.create_task(self._read())
        try:
            done, _ = await asyncio.wait((writing, reading), return_when=asyncio.FIRST_COMPLETED)
            code, reason = next((task.result() for task in done if not task.cancelled()), (_NORMAL, ""))
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._socket.close(code, reason)
        except WebSocketDisconnect:
            pass
        finally:
            self._broadcast.leave_all(self._reader)
            for task in (writing, reading):
                task.cancel()
            await asyncio.gather(writing, reading, return_exceptions=True)

    async def _write(self) -> tuple[int, str]:
        """Until the reader is hopelessly behind; the close to end with."""
        while not self._reader.is_overrun:
            await self._socket.send_text(await self._reader.next())
        return _TOO_SLOW

    async def _read(self) -> tuple[int, str]:
        """Until there is a reason to hang up; the close to end with."""
        while not self._reader.is_overrun:
            try:
                message = await asyncio.wait_for(next_message(self._socket), self._patience_s())
            except TimeoutError:
                if not self._is_proven:
                    return _NO_KEY
                if not self._reader.topics:
                    return _NORMAL, "Nothing was asked for."
                continue
            except (ValueError, RecursionError):
                if not self._is_proven:
                    return _NO_KEY
                error = InvalidInput('Messages are JSON objects like {"type": "subscribe", "workflowId": …}.')
                self._refuse(error, None)
                continue
            if not self._is_proven and not self._prove(message):
                return _NO_KEY
            try:
                await self._obey(message)
            except WorkerError as error:
                self._refuse(error, message.get("workflowId"))
        return _TOO_SLOW

    def _patience_s(self) -> float:
        return self._idle_s if self._is_proven else _AUTH_S

    def _prove(self, message: dict[str, Any]) -> bool:
        self._is_proven = self._is_key(str(message.get("key", "")))
        return self._is_proven

    async def _obey(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "subscribe":
                await self._subscribe(message)
            case "unsubscribe":
                self._unsubscribe(message)
            case "ping":
                self._say("pong")
            case "auth":
                self._say("authenticated")
            case _:
                raise InvalidInput("type is one of subscribe, unsubscribe, ping and auth.")

    async def _subscribe(self, message: dict[str, Any]) -> None:
        if len(self._reader.topics) >= _MAX_TOPICS:
            raise RateLimited(f"A socket follows {_MAX_TOPICS} workflows at most; unsubscribe, or open another.", 1)
        topic = _topic(message)
        if topic not in self._reader.topics:
            await self._broadcast.check(topic)
            self._say("subscribed", workflowId=topic.job_id)
            self._broadcast.follow(self._reader, topic)

    def _unsubscribe(self, message: dict[str, Any]) -> None:
        job_id = _topic(message).job_id
        for topic in [each for each in self._reader.topics if job_id in {None, each.job_id}]:
            self._broadcast.leave(self._reader, topic)
        self._say("unsubscribed", workflowId=job_id)

    def _refuse(self, error: WorkerError, workflow_id: object) -> None:
        is_one = isinstance(workflow_id, str) and len(workflow_id) <= _LONGEST_ID
        self._say("error", workflowId=workflow_id if is_one else None, error=error.message, code=error.code)

    def _say(self, kind: str, **told: Any) -> None:
        self._reader.answer(json.dumps({"type": kind, **told, "timestamp": ms(time.time())}))


def _topic(message: dict[str, Any]) -> Topic:
    given = message.get("workflowId")
    previews = message.get("previews") is True
    # Pictures of all jobs would be nobody's to look at.
    return Topic(None) if given in _ALL else Topic(job_id_of(str(given)), previews)
