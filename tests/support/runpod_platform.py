"""A small RunPod: the HTTP side of serverless that the official SDK polls and posts to, as recorded from 1.12.0.

Job-take (single, batch) and job-stop are held open; job-done takes progress and results and judges them as RunPod does.
"""

import json
import re
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

WORKER_ID = "pod-A"
_ROUTE = re.compile(r"^/v2/ep1/(?P<what>[a-z-]+)/(?P<worker>[^/]+)(?:/(?P<job>[^/]+))?$")
_RUN_LIMIT_BYTES = 10_000_000
_RUNSYNC_LIMIT_BYTES = 20_000_000


@dataclass(frozen=True)
class Post:
    """One body posted to job-done, and what it was answered with."""

    job_id: str
    body: bytes
    at: float
    answer: int


@dataclass(frozen=True)
class Update:
    """One IN_PROGRESS body. `late` = it came after the final result, which a platform may fall for."""

    at: float
    output: Any
    late: bool


@dataclass
class _Job:
    payload: dict[str, Any]
    taken_at: float | None = None
    final: dict[str, Any] | None = None
    final_at: float | None = None
    updates: list[Update] = field(default_factory=list)


class RunpodPlatform:
    """`with RunpodPlatform() as platform:`; every wait has a deadline and fails with what was seen until then."""

    def __init__(self, hold_s: float = 2.0) -> None:
        self.posts: list[Post] = []
        self.pings: list[dict[str, list[str]]] = []
        self.violations: list[str] = []
        self._hold_s = hold_s
        self._jobs: dict[str, _Job] = {}
        self._queue: deque[str] = deque()
        self._stops: list[str] = []
        self._closed = False
        self._takes = 0
        self._changed = threading.Condition()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="runpod-platform")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    # --- what a test does ---

    def env(self) -> dict[str, str]:
        """What RunPod puts into a worker's environment; `$ID` and `$RUNPOD_POD_ID` are for the SDK to replace."""
        base = f"http://127.0.0.1:{self._server.server_port}/v2/ep1"
        return {
            "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=TEST",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=TEST",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=TEST",
            "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID?gpu=TEST",
            "RUNPOD_AI_API_KEY": "worker-key",
            "RUNPOD_POD_ID": WORKER_ID,
            "RUNPOD_ENDPOINT_ID": "ep1",
            "RUNPOD_PING_INTERVAL": "1000",
        }

    def submit(self, job: Mapping[str, Any]) -> str:
        """Queue `{"input": …, "id"?: …}`; returns the job's id."""
        payload = {"id": str(uuid.uuid4()), **job}
        with self._changed:
            self._jobs[payload["id"]] = _Job(payload)
            self._queue.append(payload["id"])
            self._changed.notify_all()
        return payload["id"]

    def stop(self, job_id: str) -> None:
        """Cancel: the worker learns it on its stop channel and is expected to post nothing for it."""
        with self._changed:
            self._stops.append(job_id)
            self._changed.notify_all()

    def wait_taken(self, job_id: str, timeout_s: float = 60.0) -> float:
        """When a worker took the job (monotonic clock)."""
        self._wait(lambda: self._jobs[job_id].taken_at is not None, timeout_s, f"job {job_id} was not taken")
        return self._jobs[job_id].taken_at or 0.0

    @property
    def polled(self) -> bool:
        """Whether a worker has asked for jobs."""
        return self._takes > 0

    def wait_polled(self, timeout_s: float = 60.0) -> None:
        """Until a worker is up and asks for jobs."""
        self._wait(lambda: self.polled, timeout_s, "no worker asked for a job")

    def wait_updates(self, job_id: str, count: int, timeout_s: float = 60.0) -> list[Update]:
        """The progress of a job once there are `count` updates."""
        self._wait(lambda: len(self._jobs[job_id].updates) >= count, timeout_s, f"job {job_id}: too few updates")
        return self.updates(job_id)

    def result(self, job_id: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """The final body: `output`, `error`, `stopPod`, as the SDK wrapped it."""
        self._wait(lambda: self._jobs[job_id].final is not None, timeout_s, f"job {job_id} has no result")
        return self._jobs[job_id].final or {}

    def finished_at(self, job_id: str) -> float | None:
        """When the result came (monotonic clock); None while there is none."""
        return self._jobs[job_id].final_at

    def updates(self, job_id: str) -> list[Update]:
        """Progress in order of arrival."""
        with self._changed:
            return list(self._jobs[job_id].updates)

    def _wait(self, ready: Any, timeout_s: float, complaint: str) -> None:
        with self._changed:
            if not self._changed.wait_for(ready, timeout_s):
                raise AssertionError(f"{complaint} within {timeout_s:g} s; {len(self.posts)} posts, {self.violations}")

    # --- what the SDK asks ---

    def take(self, limit: int) -> list[dict[str, Any]]:
        with self._changed:
            self._takes += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._queue or self._closed, self._hold_s)
            ids = [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]
            for job_id in ids:
                self._jobs[job_id].taken_at = time.monotonic()
            self._changed.notify_all()
            return [self._jobs[job_id].payload for job_id in ids]

    def take_stops(self) -> list[str]:
        with self._changed:
            self._changed.wait_for(lambda: self._stops or self._closed, self._hold_s)
            stops, self._stops = self._stops, []
            return stops

    def done(self, job_id: str, body: bytes) -> int:
        """The status RunPod answers this body with."""
        with self._changed:
            answer = self._accept(job_id, body)
            self.posts.append(Post(job_id, body, time.monotonic(), answer))
            if answer != 200:
                self.violations.append(f"{job_id}: posted {len(body)} bytes that RunPod refuses with {answer}")
            self._changed.notify_all()
            return answer

    def _accept(self, job_id: str, body: bytes) -> int:
        job = self._jobs.get(job_id)
        if job is None:
            return 404
        if len(body) > (_RUNSYNC_LIMIT_BYTES if job_id.startswith("sync-") else _RUN_LIMIT_BYTES):
            return 400
        try:
            content = json.loads(body, parse_constant=_refuse)
        except ValueError:
            return 400
        if content.get("status") == "IN_PROGRESS":
            job.updates.append(Update(time.monotonic(), content.get("output"), late=job.final is not None))
        elif job.final is None:
            job.final, job.final_at = content, time.monotonic()
        else:
            self.violations.append(f"{job_id}: a second result")
        return 200


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 64

    def __init__(self, platform: RunpodPlatform) -> None:
        self.platform = platform
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A worker that is killed resets its polls: no news."""

    def hang_up(self) -> None:
        """End kept-alive connections, so that their threads end."""
        with self._lock:
            for connection in self._open:
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        match = _ROUTE.match(parts.path)
        platform = self.server.platform
        match match and match["what"]:
            case "ping":
                platform.pings.append(query)
                self._answer(200, {"status": "ok"})
            case "job-take":
                jobs = platform.take(1)
                self._answer(200, jobs[0]) if jobs else self._answer(204)
            case "job-take-batch":
                jobs = platform.take(int(query["batch_size"][0]))
                self._answer(200, jobs) if jobs else self._answer(204)
            case "job-stop":
                stops = platform.take_stops()
                self._answer(200, {"jobsToStop": stops}) if stops else self._answer(204)
            case _:
                self._answer(404, {"error": "not found"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match = _ROUTE.match(urlsplit(self.path).path)
        if match and match["what"] == "job-done" and match["job"]:
            self._answer(self.server.platform.done(match["job"], body), {})
        else:
            self._answer(404, {"error": "not found"})

    def _answer(self, status: int, content: Any = None) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        if content is not None:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""
