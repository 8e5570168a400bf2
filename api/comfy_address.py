"""Where a ComfyUI is and what the operator says of it: `host:port;label=fast;weight=2`, as in COMFY_HOST."""

import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from .masking import mask

_OPTIONS = ("label", "weight")
_LONGEST_OPTION = 64
# A name, each part of which fits into the DNS (else the resolver raises UnicodeError), or an IPv6 address.
_HOST = re.compile(r"(?=.{1,253}$)(?:[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)")
_FORM = "host:port or an http(s) URL, with ;label=NAME and ;weight=NUMBER behind it where wanted"


class ComfyAddress(NamedTuple):
    """`url` has no slash at its end; a ComfyUI of weight 2 is given twice as much where all else is equal."""

    url: str
    label: str = ""
    weight: float = 1.0

    @property
    def name(self) -> str:
        """`host:port`, by which it is known everywhere."""
        return urlsplit(self.url).netloc

    @property
    def port(self) -> int | None:
        """Its port; None when that cannot be told."""
        return _port_of(urlsplit(self.url))

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine."""
        return urlsplit(self.url).hostname in {"127.0.0.1", "localhost", "::1"}


def parse_addresses(text: str, *, use_ssl: bool = False) -> tuple[ComfyAddress, ...]:
    """Several, separated by commas. Raises ValueError for none, for one that cannot be used and for one named twice."""
    found = tuple(parse_address(part, use_ssl=use_ssl) for part in text.split(",") if part.strip())
    if not found:
        raise ValueError("names no ComfyUI")
    names = [address.name for address in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is there twice")
    return found


def parse_address(text: str, *, use_ssl: bool = False) -> ComfyAddress:
    """One. `use_ssl` is for an address without a scheme. Raises ValueError."""
    where, *rest = (part.strip() for part in text.split(";"))
    url = (where if "://" in where else f"{'https' if use_ssl else 'http'}://{where}").rstrip("/")
    try:
        parts = urlsplit(url)
    except ValueError:  # whose text may quote a password
        raise ValueError(f"{mask(repr(where))} is not {_FORM}") from None
    host = parts.hostname or ""
    is_plain = "@" not in parts.netloc and not (parts.query or parts.fragment)
    if parts.scheme not in {"http", "https"} or not (_HOST.fullmatch(host) and is_plain and _port_of(parts)):
        raise ValueError(f"{mask(repr(where))} is not {_FORM}")
    options = dict(_option(part) for part in rest if part)
    return ComfyAddress(url, options.get("label", ""), _weight(options.get("weight", "1")))


def _option(text: str) -> tuple[str, str]:
    name, _, value = (part.strip() for part in text.partition("="))
    if name not in _OPTIONS or not (value.isascii() and value.isprintable() and 0 < len(value) <= _LONGEST_OPTION):
        raise ValueError(f"{text!r} is not {' or '.join(f'{option}=…' for option in _OPTIONS)}")
    return name, value


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0 < weight <= 1000:
        raise ValueError(f"weight={text} is not a number above 0, 1000 at most")
    return weight


def _port_of(parts: SplitResult) -> int | None:
    try:
        return parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
