"""What callers send over a WebSocket: one JSON object a message."""

import json
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

_NORMAL = 1000


async def next_message(socket: WebSocket) -> dict[str, Any]:
    """The next message. Raises ValueError for what is no JSON object, WebSocketDisconnect."""
    received = await socket.receive()
    if received["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(received.get("code", _NORMAL))
    message = json.loads(received.get("text") or received.get("bytes") or "")
    if not isinstance(message, dict):
        raise ValueError("no object")
    return message
