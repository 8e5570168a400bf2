"""Webhooks over HTTP: one POST to an address that was checked and is kept to. No redirects, no proxies, no cookies."""

import contextlib
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime

from .errors import Detail, InputUnavailable, InputUrlRefused, InvalidInput
from .inputs.addresses import AddressGuard
from .inputs.transfer import Cutoff, PinnedConnection, default_tls
from .inputs.web_address import WebAddress
from .jobs.cancel import CancelToken
from .jobs.quoting import kind_of, quote
from .jobs.webhook_schedule import Answer

_MAX_URL = 2048
_CONNECT_S = 5.0
_MAX_ADDRESSES = 4
_MAX_ANSWER_BYTES = 64 * 1024
# How long a submit may wait for a name server, and how many may at a time. Beyond, only the POST looks.
_LOOKUP_S = 2.0
_LOOKUPS = 16
_HEADERS = {"User-Agent": "comfyui-worker", "Accept": "*/*", "Connection": "close"}
_SECONDS = re.compile(r"\d{1,9}")
_PRIVATE = (
    "it leads to a private, local or reserved address, to which this worker sends nothing "
    "(settings WEBHOOK_ALLOWED_HOSTS, WEBHOOK_ALLOW_PRIVATE)"
)


class WebhookClient:
    """Checks webhook addresses and sends to them. Safe to share between threads.

    `timeout_s` bounds a whole POST, whatever it waits for; a name server or a TLS handshake may add to it.
    `lookup_s` is how long `check` waits for a name server.
    """

    def __init__(
        self,
        guard: AddressGuard,
        timeout_s: float = 15.0,
        tls: ssl.SSLContext | None = None,
        lookup_s: float = _LOOKUP_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._guard = guard
        self._timeout_s = timeout_s
        self._tls = tls
        self._lookup_s = lookup_s
        self._clock = clock
        self._lookups = threading.BoundedSemaphore(_LOOKUPS)

    def check(self, url: object) -> None:
        """Raise InvalidInput, naming the field `webhook`, for an address that nothing would ever be sent to.

        A name that does not resolve now is let through: it may by the time the job has ended.
        """
        address = _parsed(url)
        if self._leads_inside(address):
            raise _refused("webhook_address_refused", f"The webhook cannot be used: {_PRIVATE}.")

    def post(self, url: str, headers: Mapping[str, str], body: bytes, cancel: CancelToken) -> Answer:
        """Send it, once. Raises only the reason of `cancel`; every other end is an answer."""
        try:
            address = _parsed(url)
        except InvalidInput as error:
            return Answer(None, error.message, final=True)
        with Cutoff(cancel, self._timeout_s) as cutoff:
            try:
                return self._sent(address, _HEADERS | dict(headers), body, cutoff)
            except InputUrlRefused:
                return Answer(None, f"not sent: {_PRIVATE}")
            except (OSError, http.client.HTTPException, InputUnavailable) as error:
                cancel.raise_if_set()
                return Answer(None, self._reason(error, cutoff))

    def _sent(self, address: WebAddress, headers: Mapping[str, str], body: bytes, cutoff: Cutoff) -> Answer:
        with contextlib.closing(self._connection(address, cutoff)) as connection:
            try:
                connection.request("POST", address.target, body=body, headers=dict(headers))
                with connection.getresponse() as response:
                    # A socket that was shut looks like the end of the headers.
                    cutoff.raise_if_ended()
                    answer = Answer(response.status, retry_after_s=self._retry_after(response))
                    # The status is the answer. The rest is read for the receiver's sake: closed early, it sees a reset.
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        response.read(_MAX_ANSWER_BYTES)
                    return answer
            finally:
                cutoff.watch(None)

    def _connection(self, address: WebAddress, cutoff: Cutoff) -> PinnedConnection:
        addresses: Sequence[str] = self._guard.addresses(address.host, address.port)[:_MAX_ADDRESSES]
        return PinnedConnection(
            address.host,
            address.port,
            tls=(self._tls or default_tls()) if address.scheme == "https" else None,
            addresses=addresses,
            connect_timeout_s=min(_CONNECT_S, self._timeout_s) / max(1, len(addresses)),
            # The cutoff comes first and knows why; this is for handshakes, which it cannot reach.
            read_timeout_s=self._timeout_s + 1,
            cutoff=cutoff,
        )

    def _reason(self, error: Exception, cutoff: Cutoff) -> str:
        """Why there is no answer, without anything of the URL."""
        with contextlib.suppress(InputUnavailable):
            cutoff.raise_if_ended()
            return _cause(error)
        return f"no answer within {self._timeout_s:g} s"

    def _retry_after(self, response: http.client.HTTPResponse) -> float | None:
        """Seconds or a date, as receivers write it; None for what is neither."""
        value = (response.getheader("Retry-After") or "").strip()
        if _SECONDS.fullmatch(value):
            return float(value)
        with contextlib.suppress(ValueError, OverflowError):
            return max(0.0, parsedate_to_datetime(value).timestamp() - self._clock())
        return None

    def _leads_inside(self, address: WebAddress) -> bool:
        """Whether the name is known, in time, to lead to an address that is refused."""
        if not self._lookups.acquire(blocking=False):
            return False
        found: list[bool] = []

        def look() -> None:
            try:
                self._guard.addresses(address.host, address.port)
            except InputUrlRefused:
                found.append(True)
            except OSError:
                return
            finally:
                self._lookups.release()

        thread = threading.Thread(target=look, name="webhook-lookup", daemon=True)
        thread.start()
        thread.join(self._lookup_s)
        return bool(found)


def _parsed(url: object) -> WebAddress:
    """The address taken apart. Raises InvalidInput, whose message names nothing of it but its scheme."""
    if not isinstance(url, str):
        raise _refused("webhook_invalid", f"The webhook is {kind_of(url)}; give an http(s) URL.")
    if len(url) > _MAX_URL:
        raise _refused("webhook_too_long", f"The webhook is longer than {_MAX_URL:,} characters; shorten it.")
    scheme, separator, _ = url.strip().partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        raise _refused("webhook_scheme", f"The webhook is not an http(s) URL ({quote(scheme, 20)}).")
    try:
        address = WebAddress.parse(url)
    except InputUrlRefused as error:
        message = f"The webhook cannot be used: {error.message}. Give a URL such as https://example.com/hook."
        raise _refused("webhook_invalid", message) from None
    if address.authorization is not None:
        message = "The webhook holds a user name or password; put a token into its query instead, or check signatures."
        raise _refused("webhook_credentials", message)
    return address


def _refused(code: str, message: str) -> InvalidInput:
    return InvalidInput(message, [Detail(field="webhook", code=code, message=message)])


def _cause(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its TLS certificate cannot be trusted"
    if isinstance(error, socket.gaierror):
        return "its host name cannot be resolved"
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        return "it does not answer as HTTP does"
    return f"no connection ({type(error).__name__})"
