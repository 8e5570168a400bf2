"""HEAD wherever GET is, and which methods a path has. Knows nothing of what the routes do."""

from collections.abc import Iterable

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def allowed_methods(scope: Scope) -> list[str]:
    """The methods that the scope's path takes, OPTIONS among them: the value of Allow."""
    found = {method for method in _METHODS if _is_routed(scope, method)}
    if "GET" in found:
        found.add("HEAD")
    return [*(method for method in _METHODS if method in found), "OPTIONS"]


def _is_routed(scope: Scope, method: str) -> bool:
    routes: Iterable[BaseRoute] = scope["app"].routes
    # A fresh scope: matching leaves its notes in the one it gets.
    asked = {key: scope[key] for key in ("type", "path", "root_path", "headers") if key in scope}
    return any(route.matches({**asked, "method": method})[0] is Match.FULL for route in routes)


class HeadAsGet:
    """Middleware: a HEAD without a route of its own is answered as GET is, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope.get("method") != "HEAD" or _is_routed(scope, "HEAD"):
            await self._app(scope, receive, send)
            return
        ended = False

        async def send_head(message: Message) -> None:
            nonlocal ended
            if ended:
                return
            await send(message)
            if message["type"] == "http.response.start":
                # At once, so that an endless stream sees its reader leave.
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        # A copy: the server looks at the method of the original to leave the body out.
        asked = {**scope, "method": "GET"}
        await self._app(asked, receive, send_head)
        if "route" in asked:
            scope["route"] = asked["route"]
