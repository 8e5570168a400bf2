"""Routes of a surface that are made when one of them is first asked for: what few use costs no start any time."""

import threading
from collections.abc import Callable, Sequence

from fastapi import APIRouter
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

_CHOSEN = "comfyui_worker_late_route"


class LateRoutes(BaseRoute):
    """Stands for all routes that `make` gives, which lie below `prefixes` and are safe to make in any thread."""

    def __init__(self, prefixes: Sequence[str], make: Callable[[], Sequence[APIRouter]]) -> None:
        self._prefixes = tuple(prefixes)
        self._make = make
        self._making = threading.Lock()
        self._routers: tuple[APIRouter, ...] | None = None
        self._routes: list[BaseRoute] = []

    def routers(self) -> Sequence[APIRouter]:
        """The routers, made now if they have not been yet."""
        with self._making:
            if self._routers is None:
                routers = tuple(self._make())
                self._routes = [route for router in routers for route in router.routes]
                self._routers = routers
            return self._routers

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """The first of them that fits, as a router of Starlette chooses."""
        if scope["type"] not in {"http", "websocket"} or not scope["path"].startswith(self._prefixes):
            return Match.NONE, {}
        self.routers()
        partial: tuple[Match, Scope] = (Match.NONE, {})
        for route in self._routes:
            match, child = route.matches(scope)
            if match is Match.FULL:
                return match, {**child, _CHOSEN: route}
            if match is Match.PARTIAL and partial[0] is Match.NONE:
                partial = match, {**child, _CHOSEN: route}
        return partial

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the one that was chosen answer."""
        await scope[_CHOSEN].handle(scope, receive, send)
