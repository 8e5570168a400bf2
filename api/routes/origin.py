"""What the browser itself says of a request: whether a page of another site sent it. Pages cannot forge these words."""

import functools
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

_PORTS = {"http": 80, "https": 443}
# Ends of names that no name server of the internet answers for, and so no stranger.
_LOCAL_ENDS = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".home", ".corp", ".svc", ".test")


def is_foreign(headers: Headers, allowed: Collection[str] = ()) -> bool:
    """Whether a page of another, not allowed, site sent this."""
    origin = headers.get("origin")
    if origin is None or origin in allowed or "*" in allowed:
        return False
    site = headers.get("sec-fetch-site")
    if site:
        return site not in {"same-origin", "none"}
    # A proxy may ask for another host than it was asked for. A page cannot set that field without being asked first.
    hosts = (headers.get("host", ""), *headers.get("x-forwarded-host", "").split(","))
    return not any(_is_of(origin, host) for host in hosts)


def is_rebound(scope: Scope, headers: Headers, allowed: Collection[str] = ()) -> bool:
    """Whether a stranger's name was made to lead here (DNS rebinding): to the browser its pages are then our own.

    A page that changes anything says its `Origin`. What says none may be a program that knows us by a name; on loopback
    only a proxy, whose port in `Host` is another than ours.
    """
    address, port = scope.get("server") or ("", None)
    host, origin = headers.get("host"), headers.get("origin")
    if host is None or "*" in allowed:
        return False
    if origin is None:
        is_strange = is_loopback(address) and _names_a_stranger(host, port)
    else:
        # Nobody else has a certificate for a name of theirs that leads here.
        is_strange = not origin.startswith("https:") and _names_a_stranger(host)
    return is_strange and not any(_is_of(each, host) for each in allowed)


@functools.lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether an address or a name is this machine's own, and only from within."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@functools.lru_cache(maxsize=256)
def _names_a_stranger(host: str, port: int | None = None) -> bool:
    """Whether its name may be anybody's: no address, no name of a local network. With `port` only if it is that one."""
    try:
        asked = urlsplit(f"//{host.lower()}")
        if port not in {None, asked.port or _PORTS["http"]}:
            return False
    except ValueError:
        return True
    name = (asked.hostname or "").rstrip(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." in name and not name.endswith(_LOCAL_ENDS)
    return False


def _is_of(origin: str, host: str) -> bool:
    """Whether an origin is of the host that a request names."""
    try:
        page, asked = urlsplit(origin.lower()), urlsplit(f"//{host.strip().lower()}")
        port = page.port or _PORTS.get(page.scheme)
        # Some proxies leave the port away.
        return page.hostname is not None and page.hostname == asked.hostname and asked.port in {None, port}
    except ValueError:
        return False
