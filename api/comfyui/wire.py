"""One WebSocket connection to ComfyUI: opened, read, aborted. Knows no reconnecting and no messages."""

import json
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import websocket

from ..errors import ComfyUnreachable

# Only as the first message does the server take it; previews then come with node and prompt id (frame type 4).
_FEATURE_FLAGS = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
# The system finds a dead peer within a minute. Pings are no good: the server's loop stalls 0.2–0.4 s every 10 s
# of activity (gc) and longer while a node holds the GIL.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Frame(NamedTuple):
    """A data frame as received, without size limit: a 1024² picture from SaveImageWebsocket has 2 MB."""

    binary: bool
    data: bytes


class Wire:
    """A connection; `frames` is for one thread, `abort` for any."""

    def __init__(
        self, base_url: str, client_id: str, *, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> None:
        """Connect over TCP (and TLS) only. Raises ComfyUnreachable; `open` does the rest."""
        parts = urlsplit(base_url)
        scheme, port = ("wss", 443) if parts.scheme == "https" else ("ws", 80)
        self._url = f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/ws?clientId={quote(client_id, safe='')}"
        self._headers = [f"{name}: {value}" for name, value in (headers or {}).items()]
        try:
            # Not left to websocket-client: it would take a proxy from the environment.
            self._socket = socket.create_connection((parts.hostname or "", parts.port or port), timeout_s)
        except OSError as error:
            raise ComfyUnreachable(f"No socket to ComfyUI: {error}") from error
        _tune(self._socket)
        if parts.scheme == "https":
            self._secure(parts.hostname or "")
        self._websocket = websocket.WebSocket(enable_multithread=False, skip_utf8_validation=True)

    def open(self) -> Frame:
        """Shake hands and return the first frame (a status): only when it is there events will come here."""
        try:
            # An Origin other than the Host is answered with 403 on loopback: send none.
            self._websocket.connect(  # type: ignore[no-untyped-call]
                self._url, socket=self._socket, header=self._headers, suppress_origin=True, redirect_limit=0
            )
            self._websocket.send(_FEATURE_FLAGS)
            first = next(self.frames())
            self._socket.settimeout(None)
        except (websocket.WebSocketException, OSError, StopIteration) as error:
            raise ComfyUnreachable(f"No socket to ComfyUI: {error}") from error
        return first

    def frames(self) -> Iterator[Frame]:
        """Frames until the server closes or the connection breaks."""
        with suppress(websocket.WebSocketException, OSError, struct.error):
            while True:
                opcode, data = self._websocket.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    return
                yield Frame(opcode == websocket.ABNF.OPCODE_BINARY, data)

    def abort(self) -> None:
        """End `frames` in whichever thread runs it; the connection stays to be closed."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Drop the connection with a reset, so that the server forgets this client id now and not later.

        The end of an old connection unregisters the client id even when a new one already holds it: the new one
        would stay open and hear nothing (ComfyUI #16010, still so in 0.38.1).
        """
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._socket.close()

    def _secure(self, hostname: str) -> None:
        try:
            self._socket = ssl.create_default_context().wrap_socket(self._socket, server_hostname=hostname)
        except OSError as error:
            self._socket.close()
            raise ComfyUnreachable(f"No socket to ComfyUI: {error}") from error


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # not every system has them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
