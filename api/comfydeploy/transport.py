"""Requests to ComfyUI Deploy: repeated where that may help, bounded in time and size, failures translated."""

import copy
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NoReturn

import requests
import tenacity
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import NewConnectionError

from ..deploy_errors import DeployBusy, DeployError, DeployProtocolError, DeployRunUnknown, DeployUnreachable
from ..jobs.cancel import CancelToken
from .refusal import refusal, retry_after, said_of, template

MAX_ANSWER_BYTES = 32 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_CONNECT_S = 10.0
_POOL = 32
_LONGEST_PAUSE_S = 20.0
_PASSING = frozenset({500, 502, 503, 504})
_NEVER = CancelToken()

# Who is told of a try: the path without ids, its status (0 = no answer) and the seconds it took.
OnTry = Callable[[str, int, float], None]


@dataclass(frozen=True, slots=True)
class Policy:
    """`attempts` tries in all, `total_s` seconds at most for them; one answer may take `timeout_s`.

    `pause_s` is the longest first pause between two of them.
    """

    attempts: int = 5
    timeout_s: float = 30.0
    total_s: float = 90.0
    pause_s: float = 0.5


class _Bearer(AuthBase):
    """Being set, it also keeps credentials of a .netrc out of the request."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class _Passing(Exception):
    """Worth another try, after `wait_s` if they say so; `error` is what it comes to when there is none."""

    def __init__(self, error: DeployError, wait_s: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait_s = wait_s


class Transport:
    """One account. Safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        key: str | None,
        policy: Policy = Policy(),
        on_try: OnTry = lambda _path, _status, _seconds: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.base_url = base_url
        self._policy = policy
        self._on_try = on_try
        self._clock = clock
        self._auth = _Bearer(key)
        self._session = _new_session()

    def with_policy(self, policy: Policy) -> "Transport":
        """The same account and connections, with another patience."""
        other = copy.copy(self)
        other._policy = policy
        return other

    def get(self, path: str, cancel: CancelToken = _NEVER, query: Mapping[str, Any] | None = None) -> Any:
        """The JSON of a GET. Raises DeployError's children, or the reason of `cancel`."""
        return self._repeated("GET", path, cancel, _PASSING, params=query)

    def post(self, path: str, cancel: CancelToken = _NEVER, **options: Any) -> Any:
        """The JSON of a POST that does no harm when it is done twice."""
        return self._repeated("POST", path, cancel, _PASSING - {HTTPStatus.INTERNAL_SERVER_ERROR}, **options)

    def post_once(self, path: str, cancel: CancelToken = _NEVER, **options: Any) -> Any:
        """The JSON of a POST that must not be done twice: repeated only while it was certainly not taken.

        Raises DeployRunUnknown where nobody can tell whether it was.
        """
        return self._repeated("POST", path, cancel, frozenset(), **options)

    def _repeated(self, method: str, path: str, cancel: CancelToken, passing: frozenset[int], **options: Any) -> Any:
        stopped = threading.Event()
        cancel.on_cancel(stopped.set)
        started = time.monotonic()
        wait = _Pause(tenacity.wait_random_exponential(multiplier=self._policy.pause_s, max=_LONGEST_PAUSE_S))
        tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Passing),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(self._policy.attempts), _OutOfTime(started, self._policy, wait)
            ),
            wait=wait,
            sleep=lambda seconds: self._rested(seconds, stopped, cancel),
            reraise=True,
        )
        try:
            return tries(self._tried, method, path, passing, cancel, options)
        except _Passing as last:
            raise last.error from last.__cause__

    def _rested(self, seconds: float, stopped: threading.Event, cancel: CancelToken) -> None:
        stopped.wait(seconds)
        cancel.raise_if_set()

    def _tried(
        self, method: str, path: str, passing: frozenset[int], cancel: CancelToken, options: Mapping[str, Any]
    ) -> Any:
        cancel.raise_if_set()
        started, status = time.monotonic(), 0
        try:
            with self._session.request(
                method,
                f"{self.base_url}{path}",
                auth=self._auth,
                timeout=(min(_CONNECT_S, self._policy.timeout_s), self._policy.timeout_s),
                stream=True,
                # The key is for this host alone.
                allow_redirects=False,
                **options,
            ) as answer:
                status = answer.status_code
                body = _read(answer, started + self._policy.timeout_s)
        except requests.RequestException as error:
            self._no_answer(error, path, once=not passing)
        finally:
            self._on_try(template(path), status, time.monotonic() - started)
        return self._judged(answer, body, path, passing)

    def _no_answer(self, error: requests.RequestException, path: str, *, once: bool) -> NoReturn:
        text = f"ComfyUI Deploy did not answer {template(path)}: {_reason(error)}."
        if once and not _never_sent(error):
            raise _unknown(text) from error
        raise _Passing(DeployUnreachable(text)) from error

    def _judged(self, answer: requests.Response, body: bytes, path: str, passing: frozenset[int]) -> Any:
        status = answer.status_code
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            wait_s = retry_after(answer, self._clock())
            text = f"ComfyUI Deploy limits requests ({template(path)}); try again later."
            raise _Passing(DeployBusy(text, retry_after_s=wait_s), wait_s)
        said = said_of(body)
        if status in passing:
            raise _Passing(DeployUnreachable(f"ComfyUI Deploy answered {template(path)} with {status}: {said}"))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not passing:
            raise _unknown(f"ComfyUI Deploy answered {template(path)} with {status}: {said}")
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise refusal(status, body, said, path)
        try:
            # NaN and the like are no JSON, and nobody could be told of them.
            return json.loads(body, parse_constant=lambda _word: None)
        except (ValueError, RecursionError):
            message = f"ComfyUI Deploy answered {template(path)} with something that is no JSON."
            raise DeployProtocolError(f"{message} Is COMFY_DEPLOY_API_URL right ({self.base_url})?") from None


def _new_session() -> requests.Session:
    session = requests.Session()
    session.headers["User-Agent"] = "comfyui-worker"
    # Cookies are what a session must not be shared between threads for; nothing here needs any.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=_POOL))
    return session


class _Pause(tenacity.wait.wait_base):
    """What they ask for, else twice as long each time, with jitter."""

    def __init__(self, backoff: tenacity.wait.wait_base) -> None:
        self._backoff = backoff

    def __call__(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait_s if isinstance(error, _Passing) else None
        return self._backoff(state) if asked is None else asked


class _OutOfTime(tenacity.stop.stop_base):
    """Ends it when the next pause would end after the time there is."""

    def __init__(self, started: float, policy: Policy, pause: _Pause) -> None:
        self._until = started + policy.total_s
        self._pause = pause

    def __call__(self, state: tenacity.RetryCallState) -> bool:
        return time.monotonic() + self._pause(state) > self._until


def _read(answer: requests.Response, until: float) -> bytes:
    body = bytearray()
    for chunk in answer.iter_content(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise DeployProtocolError(f"ComfyUI Deploy answered with more than {MAX_ANSWER_BYTES:,} bytes.")
        if time.monotonic() > until:
            raise requests.ReadTimeout("the answer took too long")
    return bytes(body)


def _unknown(text: str) -> DeployRunUnknown:
    return DeployRunUnknown(f"{text} A run may have been queued all the same; look there before you submit it again.")


def _never_sent(error: requests.RequestException) -> bool:
    """Whether no connection came about, so that they cannot have seen the request."""
    # Of TLS only a certificate we refuse is certain: from version 1.3 on, their refusals may come after the request.
    return isinstance(error, requests.ConnectTimeout) or any(
        isinstance(cause, NewConnectionError | ssl.SSLCertVerificationError) for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was made of: urllib3 keeps that in `reason` and in the arguments."""
    yield error
    for cause in (getattr(error, "reason", None), *error.args[:1]):
        if isinstance(cause, BaseException):
            yield from _causes(cause)


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "it took too long"
    if isinstance(error, requests.exceptions.SSLError):
        return "its TLS certificate cannot be trusted" if _never_sent(error) else "TLS failed"
    return "no connection" if _never_sent(error) else "the connection broke"
