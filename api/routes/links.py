"""Addresses of outputs that anybody can fetch for a while, whatever key guards the rest."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request

from ..jobs.results import OutputRef

Link = Callable[[OutputRef], str]


def _unsigned(_path: str, _expires_at: float) -> None:
    return None


@dataclass(frozen=True)
class OutputLinks:
    """`sign(path, expires_at)` gives the token of a link, or None where none is needed; `life_s` is how long it opens.

    `public_url` is the worker's address as callers see it; None takes that of each request.
    """

    sign: Callable[[str, float], str | None] = _unsigned
    life_s: float = 24 * 3600.0
    public_url: str | None = None

    def of(self, request: Request) -> Link:
        """What makes links for the caller of this request."""
        base = (self.public_url or str(request.base_url)).rstrip("/")
        expires_at = time.time() + self.life_s
        return lambda output: base + self._target(output, expires_at)

    def _target(self, output: OutputRef, expires_at: float) -> str:
        token = self.sign(output.address, expires_at)
        return quote(output.address) + (f"?token={quote(token)}" if token else "")
