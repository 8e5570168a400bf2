"""Requests to one remote endpoint: kept alive, bounded in time and size, repeated while that may help."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests
import tenacity
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, InvalidHeader, ReadTimeoutError
from urllib3.util import Retry

from ..comfyui.transport import parsed
from ..errors import ComfyBusy, ComfyProtocolError, ComfyUnreachable, InvalidSettings, TargetRefused
from ..ids import InstanceName
from ..jobs.cancel import CancelToken
from ..masking import mask
from .patience import Passing, Patience, pause_s

_CHUNK_BYTES = 256 * 1024
# A result with its files inline: RunPod's limit is a tenth of it.
_MAX_ANSWER_BYTES = 200_000_000
_BODY_LIMIT_S = 300.0
# What was accepted has to be known by its id, or it could not be cancelled there.
_HEARD_OUT_S = 5.0
_CONNECT_S = 5.0
_READ_S = 15.0
_SHOWN_CHARS = 300
# Not heard, heard too early, or not heard to the end.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


@dataclass(frozen=True, slots=True)
class Place:
    """Where an endpoint is and what opens it. `settings` are the names of the settings that hold URL and key."""

    name: InstanceName
    url: str
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    settings: tuple[str, str] = ("its URL", "its API key")

    @property
    def shown(self) -> str:
        """The target and its host, for messages."""
        return f"{self.name} ({urlsplit(self.url).netloc.rpartition('@')[2]})"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer. `content` is its JSON, None for what is none."""

    status: int
    content: Any
    retry_after_s: float | None = None

    @property
    def text(self) -> str:
        """What it says of an error, masked."""
        said = self.content if isinstance(self.content, dict) else {}
        texts = (said.get(key) for key in ("message", "detail", "error", "title"))
        text = next((text for text in texts if isinstance(text, str) and text), "")
        return mask(text)[:_SHOWN_CHARS] or f"HTTP {self.status}"


class _Key(AuthBase):
    """Being set, it also keeps the credentials of a .netrc out of the requests."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class Endpoint:
    """Any number of threads may call it. `patience_s`: how long a failing call is repeated."""

    def __init__(self, place: Place, *, connections: int, patience_s: float) -> None:
        self.place = place
        self._base_url = _checked(place)
        self._patience_s = patience_s
        self._session = requests.Session()
        self._session.auth = _Key(place.api_key)
        self._session.headers.update({"User-Agent": "comfyui-worker", "Accept": "application/json", **place.headers})
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=connections)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def call(
        self,
        method: str,
        path: str,
        patience: Patience,
        *,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
        read_timeout_s: float = _READ_S,
        limit_s: float | None = None,
    ) -> Answer:
        """The answer to a request that does no harm when it arrives twice; its status is below 500.

        `limit_s` takes the place of the endpoint's patience; with 0 it is tried once.
        Raises TargetRefused, ComfyUnreachable, ComfyBusy for an endpoint that takes no more, the reason of the cancel.
        """
        limit_s = self._patience_s if limit_s is None else limit_s
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Passing),
            stop=tenacity.stop_before_delay(limit_s) if limit_s else tenacity.stop_after_attempt(1),
            wait=pause_s,
            sleep=patience.pause,
            reraise=True,
        )
        try:
            return retrying(
                self.once, method, path, patience, content=content, headers=headers, read_timeout_s=read_timeout_s
            )
        except Passing as failure:
            patience.cancel.raise_if_set()
            raise self.given_up(failure) from failure

    def once(
        self,
        method: str,
        path: str,
        patience: Patience,
        *,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
        read_timeout_s: float = _READ_S,
        passing: frozenset[int] = _PASSING,
    ) -> Answer:
        """One try. Raises Passing, TargetRefused, ComfyUnreachable for what no repetition helps."""
        patience.cancel.raise_if_set()
        body = None if content is None else json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
        # RunPod wants the type on its empty POSTs too.
        typed = {"Content-Type": "application/json"} if method == "POST" else {}
        try:
            with self._session.request(
                method,
                self._base_url + path,
                data=body,
                headers={**typed, **(headers or {})},
                timeout=(_CONNECT_S, read_timeout_s),
                stream=True,
                allow_redirects=False,
            ) as response:
                heard_out_s = _HEARD_OUT_S if method == "POST" else 0.0
                told = _json(_read(response, patience.cancel, heard_out_s))
                answer = Answer(response.status_code, told, _retry_after_s(response))
        except (requests.RequestException, HTTPError) as error:
            raise self._translated(error) from error
        self._check(answer)
        if answer.status in passing:
            is_busy = answer.status == HTTPStatus.TOO_MANY_REQUESTS
            raise Passing(f"it answered {answer.status}: {answer.text}", answer.retry_after_s, is_busy=is_busy)
        return answer

    def given_up(self, failure: Passing) -> ComfyUnreachable | ComfyBusy:
        """What a failure that did not pass means to the job."""
        if failure.is_busy:
            return ComfyBusy(f"The target {self.place.shown} takes no more jobs now: {failure.reason}.")
        return ComfyUnreachable(f"The target {self.place.shown} cannot be reached: {failure.reason}.")

    def _check(self, answer: Answer) -> None:
        url_setting, key_setting = self.place.settings
        shown, status = self.place.shown, answer.status
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            what = "does not take the worker's key" if self.place.api_key or self.place.headers else "wants a key"
            raise TargetRefused(f"The target {shown} {what} (HTTP {status}): check the setting {key_setting}.")
        if status == HTTPStatus.PAYMENT_REQUIRED:
            raise TargetRefused(f"The target {shown} wants to be paid first: {answer.text}.")
        if 300 <= status < 400:
            raise TargetRefused(f"The target {shown} redirects: put its final URL into the setting {url_setting}.")

    def _translated(self, error: requests.RequestException | HTTPError) -> Passing | ComfyUnreachable:
        if isinstance(error, requests.exceptions.SSLError):
            return ComfyUnreachable(f"The TLS certificate of the target {self.place.shown} cannot be trusted.")
        if isinstance(error, requests.ConnectTimeout):
            return Passing("no connection in time", is_unsent=True)
        if isinstance(error, requests.Timeout | ReadTimeoutError):
            return Passing("no answer in time")
        reason = getattr(error.args[0], "reason", None) if error.args else None
        is_unsent = type(reason).__name__ in {"NewConnectionError", "NameResolutionError"}
        return Passing("no connection" if is_unsent else "the connection broke off", is_unsent=is_unsent)


def protocol_error(place: Place, answer: Answer) -> ComfyProtocolError:
    """For an answer that nothing of its kind gives."""
    return ComfyProtocolError(
        f"The target {place.shown} answered what it should not ({answer.text}): check the setting {place.settings[0]}."
    )


def _read(response: requests.Response, cancel: CancelToken, heard_out_s: float) -> bytes:
    """The answer; once cancelled for so long at most."""
    body = bytearray()
    until, heard_until = time.monotonic() + _BODY_LIMIT_S, math.inf
    # What has come, not a whole chunk: one that comes byte by byte could be neither cancelled nor limited.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        body += chunk
        if cancel.is_set():
            heard_until = min(heard_until, time.monotonic() + heard_out_s)
            if time.monotonic() >= heard_until:
                cancel.raise_if_set()
        if len(body) > _MAX_ANSWER_BYTES or time.monotonic() > until:
            raise Passing("its answer does not end")
    return bytes(body)


def _json(body: bytes) -> Any:
    try:
        return parsed(body)
    except (ValueError, RecursionError):
        return None


def _retry_after_s(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After")
    try:
        return None if value is None else max(0.0, float(Retry().parse_retry_after(value)))
    except (InvalidHeader, OverflowError, ValueError):  # of a number with thousands of digits, too
        return None


def _checked(place: Place) -> str:
    """The URL without a slash at its end. Raises InvalidSettings."""
    try:
        parts = urlsplit(place.url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or parts.query or parts.fragment or "@" in parts.netloc or not _fits_the_dns(parts.hostname):
        raise InvalidSettings(
            f"{place.settings[0]} must be a URL like https://api.runpod.ai/v2/<id>, without user, query and fragment."
        )
    for value in (place.api_key or "", *place.headers, *place.headers.values()):
        if not (value.isascii() and (value.isprintable() or not value)):
            raise InvalidSettings(f"{place.settings[1]} holds characters that no key has: a line break, maybe.")
    return place.url.rstrip("/")


def _fits_the_dns(host: str | None) -> bool:
    """Whether its parts are as long as names may be; else the resolver refuses to encode it."""
    return all(0 < len(part) < 64 for part in (host or "").rstrip(".").split("."))
