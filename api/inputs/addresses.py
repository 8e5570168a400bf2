"""Which addresses a download may go to. Decides on what a name resolves to, never on the name."""

import ipaddress
import socket
from collections.abc import Callable, Sequence

from ..errors import InputUrlRefused, InvalidSettings

Lookup = Callable[[str, int], Sequence[str]]
_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_USUAL_PORTS = (80, 443)
_ANY_PORT = 0
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Beyond what every patch level of Python 3.11 counts as not global.
_INTERNAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's metadata and DNS service
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
        "192.88.99.0/24",  # relays of 6to4
        "64:ff9b:1::/48",  # NAT64 of the local network
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
    )
)


def system_lookup(host: str, port: int) -> list[str]:
    """The addresses of a host name, as the system resolves it. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


class AddressGuard:
    """Resolves host names and lets only public addresses through, unless the host is exempt.

    `allowed_hosts` are "host" (its ports 80 and 443), "host:port" or "host:*".
    """

    def __init__(
        self,
        allow_private: bool,
        allowed_hosts: Sequence[str],
        lookup: Lookup = system_lookup,
        public: Callable[[str], bool] | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._exempt = frozenset().union(*map(_exemptions, allowed_hosts))
        self._lookup = lookup
        self._public = public or is_public

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to. Raises InputUrlRefused, or OSError when the name does not resolve.

        One address that is not public refuses them all: which one is used would be a matter of luck.
        """
        addresses = list(self._lookup(host, port))
        name = host.rstrip(".")
        exempt = self._allow_private or not self._exempt.isdisjoint({(name, port), (name, _ANY_PORT)})
        if not exempt and not all(self._public(address) for address in addresses):
            raise InputUrlRefused(
                "it leads to a private, local or reserved address, which this worker does not read "
                "(settings INPUT_URL_ALLOWED_HOSTS, INPUT_URL_ALLOW_PRIVATE)"
            )
        return addresses


def _exemptions(entry: str) -> frozenset[tuple[str, int]]:
    """(host, port) of an entry. Raises InvalidSettings."""
    entry = entry.strip().lower()
    # An IPv6 address has colons of its own; with a port it stands in brackets.
    host, port = entry, ""
    if entry.startswith("[") or entry.count(":") == 1:
        host, _, port = entry.rpartition(":") if not entry.endswith("]") else (entry, "", "")
    name = host.strip("[]").rstrip(".")
    if port == "*":
        return frozenset({(name, _ANY_PORT)})
    if port and not (port.isdecimal() and 0 < int(port) < 65_536):
        raise InvalidSettings(f"{entry!r} is no allowed host: write host, host:port or host:* for every port.")
    return frozenset((name, number) for number in ([int(port)] if port else _USUAL_PORTS))


def is_public(address: str) -> bool:
    """Whether the address belongs to the open internet; also looks at an IPv4 address inside an IPv6 one."""
    try:
        outer: _IPAddress = ipaddress.ip_address(address)
    except ValueError:
        return False
    ip = _embedded(outer) or outer
    if any(ip in network for network in _INTERNAL) or ip.is_multicast or ip.is_reserved or ip.is_unspecified:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local:
        return False
    return ip.is_global


def _embedded(ip: _IPAddress) -> ipaddress.IPv4Address | None:
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour
