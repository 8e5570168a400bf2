"""Pages of other sites: Starlette's answers to their browsers, with its refusals in the one envelope."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .errors import respond

_OF_THE_BODY = frozenset({"content-length", "content-type"})


class Cors(CORSMiddleware):
    """Middleware: as Starlette's, but no plain text."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Yes, or what is not allowed: the origin, the method, the headers."""
        answer = super().preflight_response(request_headers)
        return _Refusal(answer) if answer.status_code >= 400 else answer


class _Refusal(Response):
    """Starlette's refusal, said as all errors are."""

    def __init__(self, refusal: Response) -> None:
        super().__init__(status_code=refusal.status_code)
        kept = {name: value for name, value in refusal.headers.items() if name not in _OF_THE_BODY}
        text = f"{bytes(refusal.body).decode()}: CORS_ORIGINS names the sites whose pages may ask."
        self._error = HTTPException(refusal.status_code, text, kept)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await respond(HTTPConnection(scope), self._error)
        await answer(scope, receive, send)
