"""An http(s) URL taken apart once, so that what is checked and what is fetched cannot differ."""

import base64
import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from ..errors import InputUrlRefused

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|[0-9a-f:.]*:[0-9a-f:.]*")
_KEPT = "%/:=&?~#+!$,;'@()*[]"
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class WebAddress:
    """Scheme, host, port and the rest. `authorization` is the header made of the URL's user and password."""

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises InputUrlRefused, whose message does not name the URL."""
        try:
            parts = urlsplit(url.strip())
            port = parts.port
            host = (parts.hostname or "").encode("idna").decode("ascii").lower()
            target = quote(parts.path or "/", safe=_KEPT) + (
                f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
            )
        except ValueError:
            raise InputUrlRefused("it is not a valid URL") from None
        if parts.scheme not in _PORTS:
            raise InputUrlRefused(f"only http, https and s3 URLs are read, not {parts.scheme[:20]!r}")
        if not _HOST.fullmatch(host) or port == 0:
            raise InputUrlRefused("its host is not valid")
        return cls(parts.scheme, host, port or _PORTS[parts.scheme], target, _authorization(parts))

    def redirected(self, location: str) -> "WebAddress":
        """Where a redirect leads. Credentials go along only within the same scheme, host and port."""
        # Header values arrive as Latin-1, whatever they were.
        location = location.encode("latin-1", "replace").decode("utf-8", "replace")
        try:
            url = urljoin(f"{self._origin}{self.target}", location)
        except ValueError:
            raise InputUrlRefused("it redirects to something that is not a URL") from None
        other = WebAddress.parse(url)
        kept = self.authorization if other._origin == self._origin else None
        return WebAddress(other.scheme, other.host, other.port, other.target, kept)

    @property
    def shown(self) -> str:
        """The URL as it may be logged and answered: no user, no password, no query (signed URLs are secrets)."""
        path = self.target.partition("?")[0]
        return f"{self._origin}{path if len(path) <= _SHOWN else path[:_SHOWN] + '…'}"

    @property
    def _origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def _authorization(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
