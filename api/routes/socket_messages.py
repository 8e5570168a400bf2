"""What callers send over a WebSocket: one JSON object a message."""

import json
import math
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

_NORMAL = 1000


async def next_message(socket: WebSocket) -> dict[str, Any]:
    """The next message. Raises ValueError for what is no JSON object, WebSocketDisconnect."""
    received = await socket.receive()
    if received["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(received.get("code", _NORMAL))
    text = received.get("text") or received.get("bytes") or ""
    message = json.loads(text, parse_float=_finite, parse_constant=_finite)
    if not isinstance(message, dict):
        raise ValueError("no object")
    return message


def _finite(text: str) -> float:
    """A number that JSON knows: Python reads NaN, and 1e999 as infinity."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("no number")
    return number
