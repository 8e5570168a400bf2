"""How many streams of events may be open at a time, in all and of one caller. In memory, per process."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import RateLimited
from .auth import ANONYMOUS, LINKED, UNPROVEN
from .paths import STREAM_PATHS

# One that waits takes a ten-thousandth of a core: all of them together leave most of one to the jobs.
_MOST = 2000
# An office behind one address, a proxy, or a backend that follows its users' jobs with one key is one caller too, and
# has to fit in; yet nobody takes the room of all others.
_MOST_OF_ONE = 500
# Sockets whose key comes in a message have room of their own, half as much: they take none from callers with a key.
_UNPROVEN_SHARE = 2
_RETRY_AFTER_S = 5
_KEYLESS = {ANONYMOUS, LINKED, UNPROVEN}
_NO_PEER = ("unknown", 0)

# Opens one stream more for the caller, within the block. Raises RateLimited.
OneMore = Callable[[], AbstractContextManager[None]]


class OpenStreams:
    """Middleware: refuses streams beyond the limits. A caller is known by its key, without one by address.

    `request.state.one_more` is a `OneMore`: a job that a socket follows costs what a stream does.
    """

    def __init__(self, app: ASGIApp, most: int = _MOST, most_of_one: int = _MOST_OF_ONE) -> None:
        self._app = app
        self._known = _Room(most, most_of_one)
        self._unproven = _Room(most // _UNPROVEN_SHARE, most_of_one // _UNPROVEN_SHARE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Raises RateLimited."""
        if not _is_stream(scope):
            await self._app(scope, receive, send)
            return
        room = self._unproven if scope["state"]["caller"] == UNPROVEN else self._known
        one_more: OneMore = functools.partial(room.opened, _caller(scope))
        scope["state"]["one_more"] = one_more
        with one_more():
            await self._app(scope, receive, send)


class _Room:
    """For so many streams, of one caller for so many."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._open: Counter[str] = Counter()

    @contextmanager
    def opened(self, caller: str) -> Iterator[None]:
        """One stream more, within the block. Raises RateLimited."""
        if self._open[caller] >= self._most_of_one:
            raise RateLimited(f"{self._most_of_one} streams of yours are open, the most of one caller.", _RETRY_AFTER_S)
        if self._open.total() >= self._most:
            raise RateLimited(f"{self._most} streams are open, the most there may be.", _RETRY_AFTER_S)
        self._open[caller] += 1
        try:
            yield
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]


def _is_stream(scope: Scope) -> bool:
    is_asked_for = scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] == "GET")
    return is_asked_for and any(f"{scope['path']}/".startswith(f"{each}/") for each in STREAM_PATHS)


def _caller(scope: Scope) -> str:
    name: str = scope["state"]["caller"]
    return str((scope.get("client") or _NO_PEER)[0]) if name in _KEYLESS else name
