"""Following a job: server-sent events that resume where they broke off, and polling where there are none."""

import json
import time
from collections.abc import Callable, Iterator

import requests

from .client_http import Http, StillRunning, Unreachable, refusal
from .client_jobs import Event, Job

# The server sends a sign of life every 15 s.
_SILENCE_S = 45.0
_CONNECT_S = 10.0
_POLL_S = 0.5
_SLOWEST_POLL_S = 5.0
# How long a server may stay away (a restart) before following it is given up.
_PATIENCE_S = 120.0

Sleep = Callable[[float], None]


class Deadline:
    """A time limit that starts now; None for none."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._at = None if timeout_s is None else time.monotonic() + timeout_s

    def left_s(self, at_most_s: float) -> float:
        """Seconds left, bounded. Raises StillRunning when there are none."""
        if self._at is None:
            return at_most_s
        left_s = self._at - time.monotonic()
        if left_s <= 0:
            raise StillRunning(f"The job has not ended within {self._timeout_s:g} s; it goes on.")
        return min(left_s, at_most_s)


class Follower:
    """The events of one job, until it has ended. `status` asks for its present state."""

    def __init__(
        self,
        http: Http,
        path: str,
        status: Callable[[], Job],
        *,
        timeout_s: float | None = None,
        sleep: Sleep = time.sleep,
    ) -> None:
        self._http = http
        self._path = path
        self._deadline = Deadline(timeout_s)
        self._status = patient(status, self._deadline, sleep)
        self._sleep = sleep
        self._last_id: str | None = None

    def events(self) -> Iterator[Event]:
        """Ends after `finished`. Raises Refused, StillRunning, or Unreachable when the server stays away."""
        failures = 0
        while failures <= self._http.retries:
            known = self._last_id
            try:
                for event in self._stream():
                    yield event
                    if event.kind == "finished":
                        return
            except requests.RequestException:
                pass  # it broke off in the middle: the next stream goes on from there
            except _NoStreamError:
                break
            failures = failures + 1 if self._last_id == known else 0
            job = self._status()  # only the server knows whether the stream was over or was cut
            if job.ended:
                yield finished(job)
                return
            self._deadline.left_s(0.0)
            self._http.pause(failures)
        yield from poll(self._status, self._deadline, self._sleep)

    def _stream(self) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        timeout = (_CONNECT_S, self._deadline.left_s(_SILENCE_S))
        with self._http.once("GET", self._path, headers=headers, stream=True, timeout=timeout) as response:
            _check(response)
            for event in parse(self._timely(lines(response))):
                self._last_id = event.event_id or self._last_id
                yield event

    def _timely(self, text: Iterator[str]) -> Iterator[str]:
        for line in text:
            self._deadline.left_s(0.0)
            yield line


class _NoStreamError(Exception):
    """This server streams no events of this job."""


def _check(response: requests.Response) -> None:
    status = response.status_code
    if status >= 500 or status == requests.codes.too_many_requests:
        raise requests.ConnectionError(f"status {status}")
    if status in {401, 403}:
        raise refusal(response)
    if status >= 400 or not response.headers.get("Content-Type", "").startswith("text/event-stream"):
        raise _NoStreamError


def patient(status: Callable[[], Job], deadline: Deadline, sleep: Sleep = time.sleep) -> Callable[[], Job]:
    """`status` that outlasts a restart of the server; it raises Unreachable after two minutes without an answer."""

    def ask() -> Job:
        gives_up_at = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return status()
            except Unreachable:
                if time.monotonic() >= gives_up_at:
                    raise
            sleep(deadline.left_s(_POLL_S))

    return ask


def poll(status: Callable[[], Job], deadline: Deadline, sleep: Sleep = time.sleep) -> Iterator[Event]:
    """The same events made from states that are asked for again and again, more slowly while nothing changes."""
    pause_s, before = _POLL_S, ("", "")
    while not (job := status()).ended:
        now = (job.status, json.dumps(job.progress, sort_keys=True, default=str))
        if now != before:
            pause_s, before = _POLL_S, now
            kind = "queued" if job.status == "pending" else "progress" if job.progress else "started"
            yield Event(kind, job.progress)
        sleep(deadline.left_s(pause_s))
        pause_s = min(pause_s * 1.5, _SLOWEST_POLL_S)
    yield finished(job)


def finished(job: Job) -> Event:
    """The last event of a job, made from its state."""
    return Event("finished", {"status": job.status, "error": job.error})


def lines(response: requests.Response) -> Iterator[str]:
    """The lines of a stream as they come, without their ends."""
    # Chunks are handed over as they arrive; of a body without chunks as much is awaited as is asked for.
    chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
    waiting = b""
    for piece in response.iter_content(None if chunked else 1):
        *whole, waiting = (waiting + piece).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")


def parse(text: Iterator[str]) -> Iterator[Event]:
    """Server-sent events; comments and events whose data is no JSON object are left out."""
    fields: dict[str, list[str]] = {}
    for line in text:
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
            continue
        event, fields = _event(fields), {}
        if event:
            yield event


def _event(fields: dict[str, list[str]]) -> Event | None:
    try:
        data = json.loads("\n".join(fields.get("data", [])))
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    return Event(fields.get("event", ["message"])[-1], data, fields["id"][-1] if "id" in fields else None)
