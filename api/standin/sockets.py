"""The /ws side: who is connected under which clientId, and the one queue all messages go through.

One publish loop awaits every send: one total order for all clients, and one client that does not read blocks all.
"""

import asyncio
import json
import logging
import os
import sys
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from .faults import Faults

Payload = dict[str, Any] | bytes
_LOG = logging.getLogger(__name__)


@dataclass
class _Client:
    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    flags: Any = field(default_factory=dict)
    frames: int = 0


class Sockets:
    """Connected clients. `send` works from any thread once the loop runs."""

    def __init__(self, faults: Faults, features: dict[str, Any]) -> None:
        self._faults = faults
        self._features = features
        self._clients: dict[Any, _Client] = {}
        self._seen: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._messages: asyncio.Queue[tuple[str, Payload, Any]] = asyncio.Queue()
        # Set by the engine: queue_remaining, and the display node a client is to hear about on connecting.
        self.remaining: Callable[[], int] = lambda: 0
        self.running_node: Callable[[str], str | None] = lambda client_id: None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._publisher = self._loop.create_task(self._publish())

    def send(self, event: str, data: Payload, client_id: Any) -> None:
        """Queue a message for one client, or for everybody when client_id is None."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._messages.put_nowait, (event, data, client_id))

    def send_status(self, remaining: int) -> None:
        self.send("status", {"status": {"exec_info": {"queue_remaining": remaining}}}, None)

    def wants_metadata(self, client_id: Any) -> bool:
        """Type 4 previews? Flags that are no object raise in the node that asks, as in ComfyUI."""
        client = self._clients.get(client_id)
        return client is not None and bool(client.flags.get("supports_preview_metadata", False))

    def flush(self, timeout_s: float) -> None:
        """Wait, in another thread, until everything queued so far is sent."""
        assert self._loop is not None
        waiting = asyncio.run_coroutine_threadsafe(self._messages.join(), self._loop)
        try:
            waiting.result(timeout_s)
        except TimeoutError:
            waiting.cancel()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client_id = request.rel_url.query.get("clientId", "") or uuid.uuid4().hex
        client = self._clients[client_id] = _Client(socket, request.transport)
        try:
            await self._greet(client_id)
            await self._listen(client, client_id)
        finally:
            # Unconditional, as in ComfyUI: an old socket that ends late makes the newer one of the same id deaf.
            self._clients.pop(client_id, None)
        return socket

    async def _greet(self, client_id: str) -> None:
        status = {"exec_info": {"queue_remaining": self.remaining()}}
        await self._deliver("status", {"status": status, "sid": client_id}, client_id)
        node_id = self.running_node(client_id)
        if node_id is not None:
            await self._deliver("executing", {"node": node_id}, client_id)
        if client_id in self._seen and self._faults.take("deaf_socket"):
            self._clients.pop(client_id, None)
        self._seen.add(client_id)

    async def _listen(self, client: _Client, client_id: str) -> None:
        first = True
        async for message in client.socket:
            if message.type == aiohttp.WSMsgType.ERROR:
                _LOG.warning("ws connection closed with exception %s", client.socket.exception())
            elif message.type == aiohttp.WSMsgType.TEXT:
                first = await self._understand(message.data, client, client_id, first)

    async def _understand(self, text: str, client: _Client, client_id: str, first: bool) -> bool:
        """Only a feature_flags object as the first valid one counts; the rest is ignored."""
        try:
            data = json.loads(text)
            kind = data.get("type")
        except json.JSONDecodeError:
            _LOG.warning("Invalid JSON received from client %s: %s", client_id, text)
            return first
        except AttributeError as error:
            _LOG.error("Error processing WebSocket message: %s", error)
            return first
        if first and kind == "feature_flags":
            client.flags = data.get("data", {})
            await self._deliver("feature_flags", self._features, client_id)
        return False

    async def _publish(self) -> None:
        while True:
            event, data, client_id = await self._messages.get()
            try:
                await self._wait_while_stalled(client_id)
                await self._deliver(event, data, client_id)
            except Exception:  # noqa: BLE001 (a message that cannot be sent ends the real process as well)
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            self._messages.task_done()

    async def _wait_while_stalled(self, client_id: Any) -> None:
        while (stalled := self._faults.value("stalled_socket")) is not None:
            if stalled is not True and stalled != client_id:
                return
            await asyncio.sleep(0.01)

    async def _deliver(self, event: str, data: Payload, client_id: Any) -> None:
        if client_id is None:
            receivers = list(self._clients.values())
        elif client_id in self._clients:
            receivers = [self._clients[client_id]]
        else:
            return
        frame = data if isinstance(data, bytes) else json.dumps({"type": event, "data": data})
        for client in receivers:
            await _write(client.socket, frame)
            self._drop_when_due(client)

    def _drop_when_due(self, client: _Client) -> None:
        limit = self._faults.value("drop_socket_after")
        if limit is None or client.transport is None:
            return
        client.frames += 1
        if client.frames < int(limit):
            return
        left = self._faults.number("drop_socket_times", 1) - 1
        self._faults.set("drop_socket_times", left if left > 0 else None)
        if left <= 0:
            self._faults.set("drop_socket_after", None)
        client.transport.abort()
        client.transport = None


async def _write(socket: web.WebSocketResponse, frame: str | bytes) -> None:
    try:
        if isinstance(frame, bytes):
            await socket.send_bytes(frame)
        else:
            await socket.send_str(frame)
    except (aiohttp.ClientError, ConnectionError, RuntimeError) as error:
        _LOG.warning("send error: %s", error)
