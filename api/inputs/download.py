"""Files behind http(s) URLs: only public addresses, each redirect checked, bounded in time and size."""

import contextlib
import http.client
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import tenacity

from ..errors import InputNotFound, InputUnavailable, InputUrlRefused
from ..jobs.cancel import CancelToken
from .addresses import AddressGuard
from .deadline import Deadline
from .findings import url_refused, url_unavailable
from .policy import InputPolicy
from .spool import SizeLimit, Spool
from .transfer import Cutoff, PinnedConnection, default_tls
from .web_address import WebAddress

_CHUNK_BYTES = 256 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
# Request timeout, too early, too many requests.
_PASSING = {408, 425, 429}
_MAX_WAIT_S = 5.0
_HEADERS = {"User-Agent": "comfyui-worker", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}


class Temporary(InputUnavailable):
    """Worth another try."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that came whole, and the media type its server gave it (in lower case; may be empty)."""

    spool: Spool
    media_type: str


class Downloader:
    """Fetches URLs to disk. Safe to share between threads."""

    def __init__(self, policy: InputPolicy, guard: AddressGuard, tls: ssl.SSLContext | None = None) -> None:
        self._policy = policy
        self._guard = guard
        self._tls = tls

    def fetch(
        self, url: str, path: Path, limit: SizeLimit, cancel: CancelToken, deadline: Deadline | None = None
    ) -> Fetched:
        """Write the file to `path`. Raises InputUrlRefused, InputUnavailable, InputTooLarge or DiskFull."""
        shown = "the URL"
        try:
            address = WebAddress.parse(url)
            shown = address.shown
            with self._cutoff(cancel, deadline) as cutoff:
                return self._with_retries(cutoff)(self._attempt, address, path, limit, cutoff)
        except InputUrlRefused as error:
            raise url_refused(limit.field, f"{shown} is refused: {error.message}") from error
        except InputUnavailable as error:
            raise url_unavailable(limit.field, error, f"could not read {shown}: {error.message}") from error

    def _cutoff(self, cancel: CancelToken, deadline: Deadline | None) -> Cutoff:
        left_s = deadline.left_s() if deadline else self._policy.timeout_s
        if deadline and left_s < self._policy.timeout_s:
            return Cutoff(cancel, left_s, deadline.overdue)
        return Cutoff(cancel, self._policy.timeout_s)

    def _with_retries(self, cutoff: Cutoff) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Temporary),
            stop=tenacity.stop_after_attempt(self._policy.attempts),
            wait=tenacity.wait_exponential(multiplier=self._policy.retry_wait_s, max=_MAX_WAIT_S),
            sleep=cutoff.pause,
            reraise=True,
        )

    def _attempt(self, address: WebAddress, path: Path, limit: SizeLimit, cutoff: Cutoff) -> Fetched:
        for _ in range(self._policy.max_redirects + 1):
            cutoff.raise_if_ended()
            try:
                found = self._visit(address, path, limit, cutoff)
            except (OSError, http.client.HTTPException) as error:
                cutoff.raise_if_ended()
                raise translated(error) from error
            # A socket that was shut looks like the end of the file.
            cutoff.raise_if_ended()
            if isinstance(found, Fetched):
                return found
            address = address.redirected(found)
        raise InputUrlRefused(f"it redirects more than {self._policy.max_redirects} times")

    def _visit(self, address: WebAddress, path: Path, limit: SizeLimit, cutoff: Cutoff) -> Fetched | str:
        """The file, or where the address redirects to."""
        headers = _HEADERS | ({"Authorization": address.authorization} if address.authorization else {})
        with contextlib.closing(self._connection(address, cutoff)) as connection:
            try:
                connection.request("GET", address.target, headers=headers)
                with connection.getresponse() as answer:
                    return redirect_of(answer) or _save(answer, path, limit)
            finally:
                cutoff.watch(None)

    def _connection(self, address: WebAddress, cutoff: Cutoff) -> PinnedConnection:
        return PinnedConnection(
            address.host,
            address.port,
            tls=(self._tls or default_tls()) if address.scheme == "https" else None,
            addresses=self._guard.addresses(address.host, address.port),
            connect_timeout_s=self._policy.connect_timeout_s,
            read_timeout_s=self._policy.read_timeout_s,
            cutoff=cutoff,
        )


def redirect_of(answer: http.client.HTTPResponse) -> str | None:
    """Where the answer leads; None when it is the file. Raises InputUnavailable for every other answer."""
    status = answer.status
    if status in _REDIRECTS:
        if location := answer.getheader("Location"):
            return location
        raise InputUnavailable(f"it answered {status} without saying where to go")
    if status >= 500 or status in _PASSING:
        raise Temporary(f"it answered HTTP {status}")
    if status >= 400:
        raise InputNotFound(f"it answered HTTP {status}")
    if not 200 <= status < 300:
        raise InputUnavailable(f"it answered HTTP {status}")
    return None


def _save(answer: http.client.HTTPResponse, path: Path, limit: SizeLimit) -> Fetched:
    if (answer.getheader("Content-Encoding") or "identity").lower() != "identity":
        raise InputUnavailable("it sends the file compressed, though it was asked not to")
    expected = answer.length
    limit.check(expected or 0)
    with Spool(path, limit) as spool:
        while chunk := answer.read(_CHUNK_BYTES):
            spool.write(chunk)
    if expected is not None and spool.size_bytes != expected:
        raise Temporary(f"it broke off after {spool.size_bytes:,} of {expected:,} bytes")
    return Fetched(spool, (answer.getheader("Content-Type") or "").partition(";")[0].strip().lower())


def translated(error: OSError | http.client.HTTPException) -> InputUnavailable:
    """What a failing connection means to whoever wanted the file."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return InputUnavailable("its TLS certificate cannot be trusted")
    if isinstance(error, socket.gaierror):
        return Temporary("its host name cannot be resolved")
    if isinstance(error, TimeoutError):
        return Temporary("it did not answer in time")
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        return Temporary("it does not answer as HTTP does")
    return Temporary(f"no connection ({type(error).__name__})")
