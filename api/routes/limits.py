"""The rate limits. In memory, per process; the fields of draft-ietf-httpapi-ratelimit-headers-11."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import RateLimited
from .errors import respond

if TYPE_CHECKING:
    from limits import RateLimitItem

_NO_PEER = ("unknown", 0)


@dataclass(frozen=True, slots=True)
class Rate:
    """`limit` is like "100/minute", for all paths below `prefix`: per caller, or per address whatever the key."""

    limit: str
    prefix: str = ""
    per_address: bool = False

    def covers(self, path: str) -> bool:
        """Whether a path is below the prefix."""
        return path == self.prefix or path.startswith(f"{self.prefix}/")


class RateLimit:
    """Middleware: takes so many requests as the first rate says that covers the path; free of what none covers.

    A caller is known by its key if that is a valid one, else by address.
    """

    def __init__(
        self,
        app: ASGIApp,
        rates: Sequence[Rate],
        caller_name: Callable[[Scope], str | None],
        is_free: Callable[[str], bool] = lambda _path: False,
    ) -> None:
        self._app = app
        self._rates = tuple(rates)
        self._counters: dict[Rate, _Counter] = {}
        self._caller_name = caller_name
        self._is_free = is_free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. The refusal is answered here, so that it carries the fields as well."""
        rate = self._rate_of(scope)
        if rate is None:
            await self._app(scope, receive, send)
            return
        # Made when it is needed: its library takes a while to import.
        counter = self._counters.get(rate) or self._counters.setdefault(rate, _Counter(rate))
        address = (scope.get("client") or _NO_PEER)[0]
        key = address if rate.per_address else self._caller_name(scope) or address
        taken, remaining, reset_s = counter.hit(key)
        send = _with_fields(send, counter.item, remaining, reset_s)
        if taken:
            await self._app(scope, receive, send)
            return
        error = RateLimited(f"More than {counter.item}; try again in {reset_s} s.", reset_s)
        answer = await respond(HTTPConnection(scope), error)
        await answer(scope, receive, send)

    def _rate_of(self, scope: Scope) -> Rate | None:
        if scope["type"] not in {"http", "websocket"} or self._is_free(scope["path"]):
            return None
        return next((rate for rate in self._rates if rate.covers(scope["path"])), None)


class _Counter:
    """The requests of one rate."""

    def __init__(self, rate: Rate) -> None:
        from limits import parse
        from limits.storage import MemoryStorage
        from limits.strategies import MovingWindowRateLimiter

        self.item: RateLimitItem = parse(rate.limit)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def hit(self, key: str) -> tuple[bool, int, int]:
        """(whether one more is taken, how many are left, seconds until there are more)."""
        taken = self._limiter.hit(self.item, key)
        window = self._limiter.get_window_stats(self.item, key)
        return taken, window.remaining, max(1, math.ceil(window.reset_time - time.time()))


def _with_fields(send: Send, item: "RateLimitItem", remaining: int, reset_s: int) -> Send:
    policy = f'"default";q={item.amount};w={item.get_expiry()}'

    async def send_with_fields(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            message["headers"] = list(message.get("headers", ()))
            headers = MutableHeaders(raw=message["headers"])
            headers["RateLimit-Policy"] = policy
            headers["RateLimit"] = f'"default";r={remaining};t={reset_s}'
        await send(message)

    return send_with_fields
