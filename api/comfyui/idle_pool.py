"""Kept-alive connections that wait for their next request. Safe to share between threads."""

import http.client
import select
import socket


class IdlePool:
    """At most `limit` connections, the one used last first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle: list[http.client.HTTPConnection] = []
        self._closed = False

    def take(self) -> http.client.HTTPConnection | None:
        """One that is still open; None when there is none."""
        while (connection := self._pop()) is not None:
            if not _readable(connection.sock):
                return connection
            connection.close()  # readable while idle = closed by the server: keep-alive ran out, or it died
        return None

    def put(self, connection: http.client.HTTPConnection) -> None:
        """Keep it for the next request, or close it when it is of no more use."""
        # http.client drops the socket by itself when the server says it will close.
        if connection.sock is None or self._closed or len(self._idle) >= self._limit:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close them, and from now on those that are put."""
        self._closed = True
        while (connection := self._pop()) is not None:
            connection.close()

    def _pop(self) -> http.client.HTTPConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None


def _readable(sock: socket.socket) -> bool:
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
