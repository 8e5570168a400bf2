"""Who a request comes from and whether it may pass: API keys, the operator's key, signed links."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import Forbidden, Unauthorized
from .origin import is_foreign, is_loopback, is_rebound

ANONYMOUS = "anonymous"
TOKEN = "token"  # noqa: S105 - the name of a query parameter
OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/health", "/status", "/docs", "/openapi.json", "/metrics"})
OPERATOR_PATHS = ("/admin", "/stats")
_LONGEST_TIME = 15
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# The caller who has only a signed link: it opens what its path names, and nothing else.
LINKED = "link"
# The caller of a WebSocket that brings its key in its first message.
UNPROVEN = "unproven"


@dataclass(frozen=True)
class Caller:
    """`name` is a short hash of the key, "anonymous" or "link"; it tells callers apart and gives no key away."""

    name: str
    is_operator: bool = False


class Guard:
    """Decides who passes. Without `api_keys` everybody does; without `admin_key` those keys open all paths.

    Below `late_paths` WebSockets without a key pass as UNPROVEN: their routes have to ask for it (`knows`). Below
    `open_below` there is nothing to guard.
    """

    def __init__(
        self,
        api_keys: Sequence[str] = (),
        admin_key: str | None = None,
        *,
        allowed_origins: Collection[str] = (),
        operator_paths: Sequence[str] = OPERATOR_PATHS,
        late_paths: Sequence[str] = (),
        open_below: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = {_digest(key.encode()): Caller(_name(key), is_operator=admin_key is None) for key in api_keys}
        self._admin = {_digest(admin_key.encode()): Caller(_name(admin_key), is_operator=True)} if admin_key else {}
        self._allowed_origins = frozenset(allowed_origins)
        self._operator_paths = tuple(operator_paths)
        self._late_paths = tuple(late_paths)
        self._open_below = tuple(open_below)
        # Known to whoever knows a key, and only to them; a new key beside the old one breaks no link.
        self._link_secrets = [_digest(b"signed links " + key.encode()) for key in api_keys]
        self._clock = clock

    @property
    def is_open(self) -> bool:
        """Whether jobs are taken without a key."""
        return not self._keys

    def caller(self, scope: Scope) -> Caller | None:
        """Whose valid key the request carries; None without one."""
        known = {**self._keys, **self._admin}
        found = None
        for presented in _presented(Headers(scope=scope)):
            digest = _digest(presented)
            for key, caller in known.items():
                # All are compared, each in constant time: the time tells nothing about any of them.
                if hmac.compare_digest(digest, key):
                    found = caller
        return found

    def opens(self, path: str) -> bool:
        """Whether a path is for everybody."""
        return path in OPEN_PATHS or _is_below(path, self._open_below)

    def knows(self, key: str) -> bool:
        """Whether a key that came otherwise than in a header is a valid one."""
        return (
            self.caller({"type": "websocket", "headers": [(b"x-api-key", key.encode("utf-8", "replace"))]}) is not None
        )

    def admit(self, scope: Scope) -> Caller:
        """Who asks. Raises Unauthorized without a right key, Forbidden for what that key does not open."""
        path = scope["path"]
        caller = self.caller(scope)
        if self.opens(path):
            return caller or Caller(ANONYMOUS)
        if self._admin and _is_below(path, self._operator_paths):
            return _operator(caller)
        if self.is_open:
            return self._unkeyed(scope, caller)
        if caller is None and self._has_link(scope):
            return Caller(LINKED)
        if caller is None and scope["type"] == "websocket" and _is_below(path, self._late_paths):
            return Caller(UNPROVEN)
        if caller is None:
            raise Unauthorized("A valid API key is needed: send it as 'X-API-Key: KEY' or 'Authorization: Bearer KEY'.")
        return caller

    def sign(self, path: str, expires_at: float) -> str | None:
        """A token that opens GET `path` (decoded, without query) until then: append `?token=`. None: none needed."""
        if not self._link_secrets:
            return None
        expires = int(expires_at)
        return f"{expires}.{_signature(self._link_secrets[0], path, expires)}"

    def warning(self, host: str) -> str | None:
        """What to tell the operator when anybody on the network can use the worker."""
        if not self.is_open or is_loopback(host):
            return None
        return f"Anybody who reaches {host} can run jobs: set API_KEY, or bind API_HOST to 127.0.0.1."

    def _unkeyed(self, scope: Scope, caller: Caller | None) -> Caller:
        # Keys are what stops pages of other sites; without them the browser's own words have to.
        headers = Headers(scope=scope)
        if scope.get("method") != "OPTIONS" and is_foreign(headers, self._allowed_origins):
            raise Forbidden("Pages of another site may not do this: add the site to CORS_ORIGINS.")
        if is_rebound(scope, headers, self._allowed_origins):
            raise Forbidden(
                "Without API_KEY web pages reach the worker by its address or a local name only: set a key, or add "
                "http://NAME:PORT, as it was asked for, to CORS_ORIGINS."
            )
        return caller or Caller(ANONYMOUS, is_operator=not self._admin)

    def _has_link(self, scope: Scope) -> bool:
        if scope.get("method", "GET") not in _SAFE_METHODS or _is_below(scope["path"], self._operator_paths):
            return False
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get(TOKEN, [])
        return any(self._is_valid(token, scope["path"]) for token in tokens)

    def _is_valid(self, token: str, path: str) -> bool:
        expires, _, signature = token.partition(".")
        # Python refuses to read a number of thousands of digits.
        if not (expires.isascii() and expires.isdigit() and len(expires) <= _LONGEST_TIME):
            return False
        if int(expires) < self._clock():
            return False
        wanted = (_signature(secret, path, int(expires)) for secret in self._link_secrets)
        return any(hmac.compare_digest(each.encode(), signature.encode()) for each in wanted)


class Authentication:
    """Middleware: lets through what the guard admits; notes `request.state.caller` (a name) and `is_operator`."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Raises Unauthorized or Forbidden."""
        if scope["type"] in {"http", "websocket"}:
            caller = self._guard.admit(scope)
            scope.setdefault("state", {}).update(caller=caller.name, is_operator=caller.is_operator)
        await self._app(scope, receive, send)


def _operator(caller: Caller | None) -> Caller:
    if caller is None:
        raise Unauthorized("The operator's key (ADMIN_API_KEY) is needed: send it as 'Authorization: Bearer KEY'.")
    if not caller.is_operator:
        raise Forbidden("This needs the operator's key (ADMIN_API_KEY), not an API key.")
    return caller


def _presented(headers: Headers) -> Iterator[bytes]:
    """The keys of `X-API-Key: K`, `Authorization: Bearer K`, `Authorization: K` and `Authorization: Basic …`."""
    if key := headers.get("x-api-key"):
        yield key.strip().encode("latin-1")
    if value := headers.get("authorization"):
        scheme, _, credentials = value.strip().partition(" ")
        if scheme.lower() == "basic":
            yield from _basic(credentials.strip())
            return
        yield (credentials.strip() if scheme.lower() == "bearer" else value.strip()).encode("latin-1")


def _basic(credentials: str) -> Iterator[bytes]:
    """The password, or the whole where there is no user: ComfyUI Deploy sends a machine's token so."""
    try:
        decoded = base64.b64decode(credentials, validate=True)
    except ValueError:
        return
    yield decoded.partition(b":")[2]
    yield decoded


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _signature(secret: bytes, path: str, expires: int) -> str:
    mac = hmac.digest(secret, f"{expires}\n{path}".encode("utf-8", "replace"), "sha256")
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def _is_below(path: str, prefixes: Sequence[str]) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)
