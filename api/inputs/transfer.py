"""One HTTP connection to an address that was checked beforehand, and the means to end it from another thread."""

import contextlib
import functools
import http.client
import socket
import ssl
import threading
from collections.abc import Sequence

import certifi

from ..errors import InputUnavailable
from ..jobs.cancel import CancelToken


class Cutoff:
    """Shuts the socket of a transfer when the job is cancelled or the time is over, whatever the transfer waits for."""

    def __init__(self, cancel: CancelToken, timeout_s: float, overdue: str | None = None) -> None:
        self._cancel = cancel
        self._overdue = overdue or f"it took longer than {timeout_s:g} s (setting INPUT_URL_TIMEOUT_S)"
        self._expired = False
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(timeout_s, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> "Cutoff":
        self._timer.start()
        self._cancel.on_cancel(self._cut)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self.watch(None)

    def watch(self, connection: socket.socket | None) -> None:
        """The socket to shut from now on; shut at once when it is too late already."""
        with self._lock:
            self._socket = connection
            ended = self._ended.is_set()
        if ended:
            self._shut()

    def pause(self, seconds: float) -> None:
        """Sleep, unless the end comes first."""
        self._ended.wait(seconds)

    def raise_if_ended(self) -> None:
        """Raise the reason of the cancel, or InputUnavailable when the time is over."""
        self._cancel.raise_if_set()
        if self._expired:
            raise InputUnavailable(self._overdue)

    def _expire(self) -> None:
        self._expired = True
        self._cut()

    def _cut(self) -> None:
        self._ended.set()
        self._shut()

    def _shut(self) -> None:
        with self._lock:
            if self._socket:
                # Not the TLS socket's own shutdown: it would pull the TLS layer from under the reading thread.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class PinnedConnection(http.client.HTTPConnection):
    """Goes to one of `addresses`, and to nothing the name may resolve to by now. No proxies, no environment."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        addresses: Sequence[str],
        connect_timeout_s: float,
        read_timeout_s: float,
        cutoff: Cutoff,
    ) -> None:
        super().__init__(host, port, timeout=read_timeout_s)
        self.default_port = 443 if tls else 80
        self._addresses = addresses
        self._connect_timeout_s = connect_timeout_s
        self._cutoff = cutoff
        self._tls = tls

    def connect(self) -> None:
        """Called by http.client before the request is sent."""
        connection = self._dial()
        self._cutoff.watch(connection)
        connection.settimeout(self.timeout)
        if self._tls:
            # Name and certificate are the host's, though the address is pinned.
            connection = self._tls.wrap_socket(connection, server_hostname=self.host)
            self._cutoff.watch(connection)
        self.sock = connection

    def _dial(self) -> socket.socket:
        failure: OSError = ConnectionError("the name has no address")
        for address in self._addresses:
            self._cutoff.raise_if_ended()
            try:
                return socket.create_connection((address, self.port), self._connect_timeout_s)
            except OSError as error:
                failure = error
        raise failure


@functools.cache
def default_tls() -> ssl.SSLContext:
    """Trusts the system's authorities, where there are any, and certifi's: slim images come without."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
