"""Which paths of an installation answer: for people who look for the right address. Nothing else asks around so."""

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import WorkerError
from .address import base_url
from .client import DeployClient
from .transport import Policy, Transport

_PREFIXES = ("", "/api")
_PATHS = (
    "/workflows/all",
    "/workflows",
    "/deployments",
    "/machines",
    "/machines/all",
    "/v1/workflows",
    "/v1/machines",
    "/deployment",
)
_ONCE = Policy(attempts=1, timeout_s=15, total_s=15)


@dataclass(frozen=True, slots=True)
class Found:
    """What a path answered: `status` 0 is no answer, `entries` the length of its list."""

    url: str
    status: int
    entries: int | None
    reason: str


def explore(url: str, key: str | None) -> Iterator[Found]:
    """Ask each path once, with and without the prefix."""
    root = base_url(url, "").removesuffix("/api")
    for prefix in _PREFIXES:
        for path in _PATHS:
            yield _asked(f"{root}{prefix}", path, key)


def _asked(base: str, path: str, key: str | None) -> Found:
    statuses = [0]
    entries, reason = None, ""
    client = DeployClient(Transport(base, key, _ONCE, on_try=lambda _path, status, _seconds: statuses.append(status)))
    try:
        answer = client.probe(path)
        entries = len(answer) if isinstance(answer, list) else None
    except WorkerError as error:
        reason = error.message
    return Found(f"{base}{path}", statuses[-1], entries, reason)
