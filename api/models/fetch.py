"""One large file over HTTP: each address checked, gone on with where it broke off, bounded in size."""

import contextlib
import http.client
import re
import shutil
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import DiskFull, InputTooLarge, InputUnavailable, InputUrlRefused
from ..inputs.addresses import AddressGuard
from ..inputs.download import Temporary, redirect_of, translated
from ..inputs.transfer import Cutoff, PinnedConnection, default_tls
from ..inputs.web_address import WebAddress
from ..jobs.cancel import CancelToken
from .part import Part
from .source import AllowedHosts, Source

_CHUNK_BYTES = 1024 * 1024
_REDIRECTS = 5
_CONNECT_S = 10.0
_LONGEST_S = 24 * 3600.0
_MAX_WAIT_S = 30.0
_PARTIAL, _NOT_SATISFIABLE = 206, 416
_HEADERS = {
    "User-Agent": "comfyui-worker",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_SHA256 = re.compile(r'"?([0-9a-f]{64})"?')

# (bytes that are here, bytes of the whole where known)
Told = Callable[[int, int | None], None]


@dataclass(slots=True)
class _Errand:
    """What one fetch knows on its way. `announced` is the hash the hub has promised."""

    source: Source
    part: Part
    told: Told
    cutoff: Cutoff
    announced: str | None = None


class ModelFetcher:
    """Safe to share between threads. `min_free_bytes` is left on the disk of the models."""

    def __init__(
        self,
        hosts: AllowedHosts,
        *,
        max_bytes: int,
        min_free_bytes: int = 0,
        tls: ssl.SSLContext | None = None,
        read_timeout_s: float = 60.0,
        attempts: int = 5,
        retry_wait_s: float = 1.0,
    ) -> None:
        self._hosts = hosts
        self._guard = hosts.guard()
        # The bucket's own address is the operator's word.
        self._trusting = AddressGuard(allow_private=True, allowed_hosts=())
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._tls = tls
        self._read_timeout_s = read_timeout_s
        self._attempts = attempts
        self._retry_wait_s = retry_wait_s

    def fetch(self, source: Source, part: Part, cancel: CancelToken, told: Told) -> str | None:
        """Bring all of it into the open `part`; the sha256 its server has announced, if it has.

        Raises InputUrlRefused, InputUnavailable, InputTooLarge, DiskFull, or the reason of `cancel`.
        """
        with Cutoff(cancel, _LONGEST_S, "it took longer than a day") as cutoff:
            errand = _Errand(source, part, told, cutoff)
            failures = 0
            while True:
                before = part.size_bytes
                try:
                    self._attempt(errand)
                    return errand.announced
                except Temporary as error:
                    # One that gets on has all the time it needs.
                    failures = 1 if part.size_bytes > before else failures + 1
                    if failures >= self._attempts:
                        raise _about(source, error) from error
                except (InputUnavailable, InputUrlRefused) as error:
                    raise _about(source, error) from error
                cutoff.pause(min(self._retry_wait_s * 2 ** (failures - 1), _MAX_WAIT_S))
                cutoff.raise_if_ended()

    def _attempt(self, errand: _Errand) -> None:
        address = errand.source.address
        for hop in range(_REDIRECTS + 1):
            errand.cutoff.raise_if_ended()
            if not (hop == 0 and errand.source.is_own):
                self._hosts.check(address)
            try:
                location = self._visit(errand, address, is_first=hop == 0)
            except (OSError, http.client.HTTPException) as error:
                errand.cutoff.raise_if_ended()
                raise translated(error) from error
            # A socket that was shut looks like the end of the file.
            errand.cutoff.raise_if_ended()
            if location is None:
                return
            following = address.redirected(location)
            if (address.scheme, following.scheme) == ("https", "http"):
                raise InputUrlRefused("it redirects from https to http")
            address = following
        raise InputUrlRefused(f"it redirects more than {_REDIRECTS} times")

    def _visit(self, errand: _Errand, address: WebAddress, *, is_first: bool) -> str | None:
        """Where it redirects to; None when the file has come."""
        headers = dict(_HEADERS)
        if is_first:
            headers |= errand.source.headers
        if address.authorization:
            headers["Authorization"] = address.authorization
        if errand.part.size_bytes and errand.part.validator:
            headers |= {"Range": f"bytes={errand.part.size_bytes}-", "If-Range": errand.part.validator}
        with contextlib.closing(self._connection(errand, address, is_first=is_first)) as connection:
            try:
                connection.request("GET", address.target, headers=headers)
                with connection.getresponse() as answer:
                    if is_first and errand.source.is_hub:
                        errand.announced = _announced(answer) or errand.announced
                    return self._taken(errand, answer)
            finally:
                errand.cutoff.watch(None)

    def _taken(self, errand: _Errand, answer: http.client.HTTPResponse) -> str | None:
        if answer.status == _NOT_SATISFIABLE:
            errand.part.begin(None)
            raise Temporary("what came of it before does not fit; it is begun again")
        if location := redirect_of(answer):
            return location
        self._receive(errand, answer)
        return None

    def _receive(self, errand: _Errand, answer: http.client.HTTPResponse) -> None:
        part = errand.part
        if (answer.getheader("Content-Encoding") or "identity").lower() != "identity":
            raise InputUnavailable("it sends the file compressed, though it was asked not to")
        if (answer.getheader("Content-Type") or "").lower().startswith("text/html"):
            raise InputUnavailable("it sends a web page, not a file")
        total = _total(answer, part.size_bytes)
        if answer.status != _PARTIAL:
            part.begin(_validator(answer))
        self._check_size(part, total)
        errand.told(part.size_bytes, total)
        # What is there, so that slow downloads show how they get on.
        while chunk := answer.read1(_CHUNK_BYTES):
            self._check_size(part, part.size_bytes + len(chunk))
            part.write(chunk)
            errand.told(part.size_bytes, total)
        if total is not None and part.size_bytes != total:
            raise Temporary(f"it broke off after {part.size_bytes:,} of {total:,} bytes")

    def _check_size(self, part: Part, total: int | None) -> None:
        if total is None:
            return
        if total > self._max_bytes:
            message = f"The model has more than {self._max_bytes:,} bytes (setting MODEL_DOWNLOAD_MAX_GB)."
            raise InputTooLarge(message)
        if shutil.disk_usage(part.path.parent).free - (total - part.size_bytes) < self._min_free_bytes:
            raise DiskFull("The disk of the models has no room for it: free some, or use a larger disk.")

    def _connection(self, errand: _Errand, address: WebAddress, *, is_first: bool) -> PinnedConnection:
        guard = self._trusting if is_first and errand.source.is_own else self._guard
        try:
            addresses = guard.addresses(address.host, address.port)
        except InputUrlRefused:
            raise InputUrlRefused(
                "it leads to a private, local or reserved address; name that host in full in MODEL_DOWNLOAD_HOSTS"
            ) from None
        return PinnedConnection(
            address.host,
            address.port,
            tls=(self._tls or default_tls()) if address.scheme == "https" else None,
            addresses=addresses,
            connect_timeout_s=_CONNECT_S,
            read_timeout_s=self._read_timeout_s,
            cutoff=errand.cutoff,
        )


def _about(source: Source, error: InputUnavailable | InputUrlRefused) -> InputUnavailable | InputUrlRefused:
    """The error as callers get it: with the address, without its query, which may be a secret."""
    kind = InputUrlRefused if isinstance(error, InputUrlRefused) else type(error)
    if isinstance(error, Temporary):
        kind = InputUnavailable
    return kind(f"Could not read {source.address.shown}: {error.message.rstrip('.')}.")


def _total(answer: http.client.HTTPResponse, size_bytes: int) -> int | None:
    """The size of the whole file. Raises Temporary when the part that is sent is not the one that is missing."""
    if answer.status != _PARTIAL:
        return answer.length
    match = _CONTENT_RANGE.fullmatch(answer.getheader("Content-Range") or "")
    if match is None or int(match[1]) != size_bytes:
        raise Temporary("it sends another part of the file than the one that is missing")
    return None if match[2] == "*" else int(match[2])


def _validator(answer: http.client.HTTPResponse) -> str | None:
    """What to send as If-Range; a weak tag does not say that the bytes are the same."""
    tag = answer.getheader("ETag") or ""
    if tag and not tag.startswith("W/"):
        return tag
    return answer.getheader("Last-Modified")


def _announced(answer: http.client.HTTPResponse) -> str | None:
    match = _SHA256.fullmatch(answer.getheader("X-Linked-Etag") or "")
    return match[1] if match else None
