"""Where a model may be fetched from: a URL made into the address to ask, if its host is one of the allowed."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from ..errors import Detail, InputUrlRefused, InvalidSettings
from ..inputs.addresses import AddressGuard
from ..inputs.web_address import WebAddress

_USUAL_PORTS = {80, 443}
_BLOB = re.compile(r"(/(?:datasets/)?[^/]+/[^/]+)/blob/")
_HUB = re.compile(r"([^/@]+/[^/@]+)/([^@]+?)(?:@([^@]+))?")
_MAX_URL = 4096

# An address that reads an object of the worker's bucket for a while. Raises InputUrlRefused.
PresignS3 = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Source:
    """`address` is where it is asked for first, `filename` what it is called there; `headers` go to that host only.

    `is_hub`: Hugging Face's, which announces hashes. `is_own`: the worker's bucket, which needs no permission.
    """

    address: WebAddress
    filename: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    is_hub: bool = False
    is_own: bool = False


class AllowedHosts:
    """Entries are `host` (ports 80 and 443), `host:port`, or `*.domain` for all hosts below it.

    Those named in full may have private addresses: whoever lists them knows where they are.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self._suffixes = tuple(entry[1:].lower() for entry in entries if entry.startswith("*."))
        self._named = [entry.lower() for entry in entries if not entry.startswith("*")]
        self._exact = frozenset().union(*(_places(entry) for entry in self._named))

    def check(self, address: WebAddress) -> None:
        """Raises InputUrlRefused for a host that is not allowed."""
        host = address.host.rstrip(".")
        below = address.port in _USUAL_PORTS and host.endswith(self._suffixes) if self._suffixes else False
        if not below and (host, address.port) not in self._exact:
            raise InputUrlRefused(f"the host {host}:{address.port} is not among MODEL_DOWNLOAD_HOSTS")

    def guard(self) -> AddressGuard:
        """Gives the addresses of allowed hosts."""
        return AddressGuard(allow_private=False, allowed_hosts=self._named)


class Sources:
    """Reads the URLs callers give: http(s), `hf://org/repo/path[@revision]` and `s3://` (the worker's own bucket)."""

    def __init__(
        self, hosts: AllowedHosts, hub_url: str, hub_token: str | None = None, presign_s3: PresignS3 | None = None
    ) -> None:
        self._hosts = hosts
        self._hub_url = hub_url.rstrip("/")
        self._hub = WebAddress.parse(self._hub_url)
        self._hub_token = hub_token
        self._presign_s3 = presign_s3

    def of(self, url: str) -> Source:
        """Raises InputUrlRefused naming the field `url`."""
        try:
            if len(url) > _MAX_URL:
                raise InputUrlRefused(f"it has more than {_MAX_URL} characters")
            return self._read(url.strip())
        except InputUrlRefused as error:
            message = f"The URL cannot be used: {error.message}."
            raise InputUrlRefused(message, [Detail(field="url", code="url_refused", message=message)]) from error

    def _read(self, url: str) -> Source:
        if url.startswith("s3://"):
            return self._of_bucket(url)
        if url.startswith("hf://"):
            url = self._of_hub(url.removeprefix("hf://"))
        address = WebAddress.parse(url)
        is_hub = (address.scheme, address.host, address.port) == (self._hub.scheme, self._hub.host, self._hub.port)
        if is_hub:
            # What a browser shows is a page about the file.
            address = WebAddress.parse(_BLOB.sub(r"\1/resolve/", url, count=1))
        self._hosts.check(address)
        headers = {"Authorization": f"Bearer {self._hub_token}"} if is_hub and self._hub_token else {}
        return Source(address, _filename(address), headers, is_hub=is_hub)

    def _of_hub(self, path: str) -> str:
        match = _HUB.fullmatch(path)
        if match is None:
            raise InputUrlRefused("write hf://org/repo/path/to/file, with @revision at its end if need be")
        repository, file, revision = match.groups()
        return f"{self._hub_url}/{quote(repository)}/resolve/{quote(revision or 'main', safe='')}/{quote(file)}"

    def _of_bucket(self, url: str) -> Source:
        parts = urlsplit(url)
        if self._presign_s3 is None:
            raise InputUrlRefused("this worker has no bucket (setting BUCKET_ENDPOINT_URL)")
        key = unquote(parts.path.lstrip("/"))
        address = WebAddress.parse(self._presign_s3(parts.netloc, key))
        return Source(address, key.rpartition("/")[2], is_own=True)


def _filename(address: WebAddress) -> str:
    return unquote(address.target.partition("?")[0].rpartition("/")[2])


def _places(entry: str) -> frozenset[tuple[str, int]]:
    host, separator, port = entry.strip().rpartition(":")
    if not separator or "]" in port:
        return frozenset((entry.strip().strip("[]"), number) for number in _USUAL_PORTS)
    if not port.isdecimal():
        raise InvalidSettings(f"MODEL_DOWNLOAD_HOSTS: {entry!r} is no host: write host, host:port or *.domain.")
    return frozenset({(host.strip("[]"), int(port))})
