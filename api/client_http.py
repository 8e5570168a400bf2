"""Requests that are repeated when that may help, and what they end with when it does not. Knows no endpoint."""

import email.utils
import json
import random
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase

_RETRIED = frozenset({429, 502, 503, 504})
# The first of two equal submits is still being taken.
_IN_FLIGHT = "IDEMPOTENCY_KEY_IN_FLIGHT"
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_USER_AGENT = "comfyui-worker-client"


class ClientError(Exception):
    """Root of what the client raises; the message is for people."""


class Unreachable(ClientError):
    """No answer, however often it was tried."""


class Refused(ClientError):
    """The server said no. `code` is its machine-readable reason, `details` its findings."""

    def __init__(self, status: int, message: str, code: str = "", details: tuple[Mapping[str, Any], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details


class StillRunning(ClientError):
    """The job has not ended within the time given; it goes on."""


class DownloadFailed(ClientError):
    """An output did not arrive whole."""


class _Key(AuthBase):
    """Sends the key to one origin only; being set, it also keeps credentials of a .netrc out of it."""

    def __init__(self, key: str | None, origin: tuple[str, str]) -> None:
        self._key = key
        self._origin = origin

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key and _origin(request.url or "") == self._origin:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class Http:
    """One server. Times out connecting after 10 s, reading after `timeout_s`; tries `retries` times more.

    Repeats connection errors and 429, 502, 503, 504, after the pause that Retry-After asks for.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = base_url.rstrip("/") + "/"
        self.retries = retries
        self._key = api_key
        self._timeout = (10.0, timeout_s)
        self._sleep = sleep
        self._session = requests.Session()
        self._session.auth = _Key(api_key, _origin(self.base_url))
        self._session.headers["User-Agent"] = _USER_AGENT

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def apart(self, *, timeout_s: float) -> "Http":
        """The same server over connections of its own, asked once: for another thread."""
        return Http(self.base_url, self._key, timeout_s=timeout_s, retries=0)

    def url(self, path: str) -> str:
        """The address of a path below the base address; whole addresses stay as they are."""
        return urljoin(self.base_url, path.removeprefix("/"))

    def json(self, method: str, path: str, *, repeatable: bool = True, **options: Any) -> Any:
        """The JSON of an answer. Raises Refused or Unreachable. Not `repeatable`: once it may have arrived, no more."""
        response = self.request(method, path, repeatable=repeatable, **options)
        try:
            return response.json()
        except ValueError:
            raise Refused(response.status_code, f"{self.url(path)} did not answer with JSON.") from None

    def request(self, method: str, path: str, *, repeatable: bool = True, **options: Any) -> requests.Response:
        """An answer below 400; with `stream=True` its body is still to be read, and it is to be closed."""
        attempt = 0
        while True:
            try:
                response = self.once(method, path, **options)
            except requests.RequestException as error:
                if attempt >= self.retries or not (repeatable or _never_sent(error)):
                    raise Unreachable(f"No answer from {self._origin_text(path)}: {_reason(error)}") from error
                self.pause(attempt)
            else:
                if response.status_code < 400:
                    return response
                with response:
                    refused, wait_s = refusal(response), _retry_after(response)
                    if (
                        not passing(refused, repeatable=repeatable)
                        or attempt >= self.retries
                        or (wait_s or 0) > _LONGEST_PAUSE_S
                    ):
                        raise refused
                self.pause(attempt, wait_s)
            attempt += 1

    def once(self, method: str, path: str, **options: Any) -> requests.Response:
        """One try, whatever it answers. Raises requests' own exceptions."""
        return self._session.request(method, self.url(path), **{"timeout": self._timeout, **options})

    def pause(self, attempt: int, at_least_s: float | None = None) -> None:
        """Wait before the next try: twice as long each time, with jitter, or as long as the server asks."""
        backoff_s = min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)  # noqa: S311
        self._sleep(max(at_least_s, 0.0) if at_least_s is not None else backoff_s)

    def _origin_text(self, path: str) -> str:
        return "://".join(_origin(self.url(path)))


def refusal(response: requests.Response) -> Refused:
    """What the server says in any of the forms errors come in: ours, RunPod's, RFC 9457's, or plain text."""
    status = response.status_code
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return Refused(status, f"{response.reason or 'Refused'} (status {status}).")
    texts = (content.get(key) for key in ("message", "detail", "error", "title"))
    message = next((text for text in texts if isinstance(text, str) and text), f"Refused with status {status}.")
    details = content.get("details")
    kept = tuple(item for item in details if isinstance(item, dict)) if isinstance(details, list) else ()
    return Refused(status, message, str(content.get("code") or ""), kept)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def passing(refused: Refused, *, repeatable: bool = True) -> bool:
    """Whether the same request may be taken later; a 429 was certainly not taken yet."""
    if refused.status == 409:
        return refused.code == _IN_FLIGHT
    return refused.status in _RETRIED and (repeatable or refused.status == 429)


def _never_sent(error: requests.RequestException) -> bool:
    """Whether no connection came about, so that the server cannot have seen the request."""
    cause = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectTimeout) or type(cause).__name__ == "NewConnectionError"


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "it took too long."
    text = str(error.args[0]) if error.args else str(error)
    return "connection refused." if "refused" in text else f"{text[:200]}."


def _retry_after(response: requests.Response) -> float | None:
    """Seconds; the header may also be a date."""
    value = response.headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    try:
        return email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except (TypeError, ValueError):
        return None


def compact(content: Any) -> bytes:
    """JSON as short as it gets."""
    return json.dumps(content, separators=(",", ":")).encode()


class HttpClient:
    """A client over one server; as a context it closes its connections at the end."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
