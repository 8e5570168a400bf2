"""A TCP forwarder in front of a ComfyUI that notes when requests and execution events passed by."""

import re
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_REQUEST = re.compile(rb"(GET|POST|PUT|DELETE) (/\S*) HTTP/1\.1\r\n")
# Frames from the server are plain JSON as long as the client offers no compression.
_EVENT = re.compile(
    rb'\{"type": "(execution_\w+)", "data": \{(?:"nodes": \[[^\]]*\], )?"prompt_id": "([0-9a-f-]{36})"'
    rb'(?:, "timestamp": (\d+))?'
)
_CARRY_BYTES = 512


@dataclass(frozen=True)
class Request:
    """A request line from the worker; `at` on the monotonic clock."""

    at: float
    method: str
    path: str


@dataclass(frozen=True)
class Event:
    """An execution event to the worker; `stamp_ms` is ComfyUI's own clock, 0 where it gives none."""

    at: float
    name: str
    prompt_id: str
    stamp_ms: int


class WireTap:
    """`with WireTap(comfyui.url) as tap:` and give the worker `tap.url`."""

    def __init__(self, upstream_url: str) -> None:
        parts = urlsplit(upstream_url)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._seen = threading.Condition()
        self._requests: list[Request] = []
        self._events: list[Event] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._refused = 0
        self._closed = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._seen:
            self._closed = True
            open_sockets = [self._listener, *self._sockets]
        for each in open_sockets:
            _shut(each)
        for thread in list(self._threads):
            thread.join(10)
        for each in open_sockets:
            each.close()

    def requests(self, prefix: str = "") -> list[Request]:
        """Requests so far whose `METHOD /path` begins so."""
        with self._seen:
            return [each for each in self._requests if f"{each.method} {each.path}".startswith(prefix)]

    def events(self, name: str = "") -> list[Event]:
        """Events so far, of one name or all."""
        with self._seen:
            return [each for each in self._events if not name or each.name == name]

    def wait_event(self, name: str, count: int = 1, timeout_s: float = 30.0) -> list[Event]:
        """The events of that name once there are `count`."""
        with self._seen:
            found = self._seen.wait_for(lambda: sum(e.name == name for e in self._events) >= count, timeout_s)
        if not found:
            raise AssertionError(f"fewer than {count} × {name} within {timeout_s:g} s: {self.events()}")
        return self.events(name)

    def wait_refused(self, count: int, timeout_s: float = 30.0) -> None:
        """Until the worker has tried so often to reach a ComfyUI that is not there."""
        with self._seen:
            assert self._seen.wait_for(lambda: self._refused >= count, timeout_s), f"{self._refused} refused"

    def _note_refused(self) -> None:
        with self._seen:
            self._refused += 1
            self._seen.notify_all()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._upstream)
            except OSError:
                client.close()
                self._note_refused()
                continue
            self._join(client, server)

    def _join(self, client: socket.socket, server: socket.socket) -> None:
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._seen:
            self._sockets += [client, server]
        self._spawn(self._pump, client, server, _REQUEST)
        self._spawn(self._pump, server, client, _EVENT)

    def _pump(self, source: socket.socket, sink: socket.socket, pattern: re.Pattern[bytes]) -> None:
        carry = b""
        try:
            while chunk := source.recv(65536):
                sink.sendall(chunk)
                carry = self._note(pattern, carry + chunk)
        except OSError:
            pass
        _shut(sink)
        _shut(source)

    def _note(self, pattern: re.Pattern[bytes], data: bytes) -> bytes:
        now, end = time.monotonic(), 0
        with self._seen:
            for match in pattern.finditer(data):
                end = match.end()
                first, second = match[1].decode(), match[2].decode()
                if pattern is _REQUEST:
                    self._requests.append(Request(now, first, second))
                else:
                    self._events.append(Event(now, first, second, int(match[3] or 0)))
            self._seen.notify_all()
        return data[end:][-_CARRY_BYTES:]

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="wire-tap")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


def _shut(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
