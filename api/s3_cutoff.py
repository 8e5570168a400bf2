"""Ends what an upload waits for when its job is cancelled or its time is over. Knows no S3 and no HTTP."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextvars import ContextVar, Token

from .errors import StorageUnreachable
from .jobs.cancel import CancelToken

_current: ContextVar["Cutoff | None"] = ContextVar("cutoff", default=None)


class Cutoff:
    """`with Cutoff(cancel, limit_s):` holds for every request made inside, also by threads given a copy of the context.

    `expired` tells afterwards whether the time was over. Without `limit_s` only the cancel ends it.
    """

    def __init__(self, cancel: CancelToken, limit_s: float | None = None) -> None:
        self._cancel = cancel
        self._limit_s = limit_s
        self.expired = False
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._sockets: dict[int, socket.socket] = {}
        self._timer = threading.Timer(limit_s, self._expire) if limit_s is not None else None
        self._outer: Token[Cutoff | None] | None = None

    def __enter__(self) -> "Cutoff":
        self._outer = _current.set(self)
        if self._timer:
            self._timer.daemon = True
            self._timer.start()
        self._cancel.on_cancel(self._end)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer:
            self._timer.cancel()
        if self._outer:
            _current.reset(self._outer)

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """One request of this thread. What it raises after the end becomes the reason of the end."""
        self.raise_if_ended()
        try:
            yield
        finally:
            self._forget()
            self.raise_if_ended()

    def watch(self, connection: socket.socket) -> None:
        """The socket this thread's request goes over; shut at once when it is too late already."""
        # A handle of our own: TLS takes the socket's away, an answer that ends the connection closes it while it is
        # still being read, and a number that was closed may be somebody else's by now.
        handle = socket.socket(fileno=os.dup(connection.fileno()))
        self._forget()
        with self._lock:
            self._sockets[threading.get_ident()] = handle
            if self._ended.is_set():
                _shut(handle)

    def pause(self, seconds: float) -> None:
        """Sleep, unless the end comes first."""
        self._ended.wait(seconds)

    def raise_if_ended(self) -> None:
        """Raise the reason of the cancel, or StorageUnreachable when the time is over."""
        self._cancel.raise_if_set()
        if self.expired:
            raise StorageUnreachable(f"it took longer than the {self._limit_s:g} s it has")

    def _forget(self) -> None:
        with self._lock:
            handle = self._sockets.pop(threading.get_ident(), None)
        if handle:
            handle.close()

    def _expire(self) -> None:
        self.expired = True
        self._end()

    def _end(self) -> None:
        with self._lock:
            self._ended.set()
            for handle in self._sockets.values():
                _shut(handle)


def current() -> Cutoff | None:
    """The one that holds here."""
    return _current.get()


def _shut(handle: socket.socket) -> None:
    with contextlib.suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)
