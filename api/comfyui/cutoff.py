"""Ends a blocked request from another thread: a cancel shuts the socket, whatever is waiting for it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .limits import Cancel


class Cutoff:
    """For the requests of one thread, one after the other. Sockets are shut, not closed: their owner does that."""

    def __init__(self, cancel: Cancel) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False
        cancel.on_cancel(self._cut)

    @property
    def is_cut(self) -> bool:
        """Whether the cancel has come, so that no request gets through any more."""
        return self._is_cut

    @contextmanager
    def watching(self, connection: socket.socket) -> Iterator[None]:
        """Shut `connection` when the cancel comes during the `with`; at once when it has come already."""
        with self._lock:
            self._socket = connection
            if self._is_cut:
                _shut(connection)
        try:
            yield
        finally:
            # Under the lock, so that a socket given back to the pool is not shut under another job.
            with self._lock:
                self._socket = None

    def _cut(self) -> None:
        with self._lock:
            self._is_cut = True
            if self._socket is not None:
                _shut(self._socket)


def _shut(connection: socket.socket) -> None:
    # Not the TLS socket's own shutdown: it would pull the TLS layer from under the reading thread.
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
