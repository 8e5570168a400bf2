"""The live view, uploads, outputs and queue behind the real door, around jobs whose runs the test plays itself."""

import json
import queue
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from support.documented import documented_session
from support.http_server import HttpServer
from support.job_rig import JobRig, job_rig
from support.job_stores import opened

from api.jobs.job import Job
from api.jobs.uploads import Uploads
from api.jobs.watching import Watch
from api.routes import deliveries, events, outputs, queueing, sockets, streaming, uploads, validation
from api.routes.auth import OPERATOR_PATHS, Guard
from api.routes.probes import Probes
from api.sealing import Sealer
from api.server import create_app
from api.stores.job_store import SqlJobStore
from api.stores.outbox import SqlWebhookOutbox

MAX_UPLOAD = 3_000_000


@dataclass
class Play:
    """A JobHandler that does what `steps` says: emits events, calls functions with the host, ends with a dict."""

    steps: "queue.Queue[Any]" = field(default_factory=queue.Queue)

    def __call__(self, job: Any, emit: Any, cancel: Any, limit: Any, host: Any) -> dict[str, Any]:
        while True:
            step = self.steps.get(timeout=30)
            if isinstance(step, dict):
                return step
            if callable(step):
                result = step(job["id"], host)
                if result is not None:
                    return result
            else:
                emit(step)

    def __lshift__(self, step: Any) -> "Play":
        self.steps.put(step)
        return self


@dataclass
class LiveRig:
    server: HttpServer
    jobs: JobRig
    play: Play
    uploads: Uploads
    # What another process on the same database would use.
    other: SqlJobStore
    outbox: SqlWebhookOutbox
    asked: list[Any]
    session: requests.Session

    @property
    def url(self) -> str:
        return self.server.url

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=15, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.session.post(self.url + path, timeout=15, **options)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=15, **options)

    def hold(self) -> None:
        """From now on jobs stay in line."""
        self.jobs.hold()

    def let_go(self) -> None:
        self.jobs.usable.set()

    def ran(self, result: Callable[[Any, Any], dict[str, Any]] | Mapping[str, Any] | None = None) -> Job:
        """A job that has ended with that result."""
        job = self.jobs.submit()
        self.play << (result or {})
        return self.jobs.ended(job)

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator["Stream"]:
        answer = self.session.get(self.url + path, headers=headers, stream=True, timeout=15)
        with answer:
            yield Stream(answer)


class Stream:
    """Server-sent events, each held against the schema it is promised to have."""

    def __init__(self, answer: requests.Response) -> None:
        self.answer = answer
        self.comments: list[str] = []
        self.retry_ms: int | None = None
        self.ids: list[str | None] = []
        self._lines = answer.iter_lines(chunk_size=1)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        fields: dict[str, str] = {}
        for line in self._lines:
            text = line.decode()
            if text:
                name, _, value = text.partition(":")
                fields[name] = value.removeprefix(" ")
                continue
            if "" in fields:
                self.comments.append(fields[""])
            if "retry" in fields:
                self.retry_ms = int(fields["retry"])
            if "data" in fields:
                self.ids.append(fields.get("id"))
                yield self.frame(fields)
            fields = {}

    def frame(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """One event, held against its schema."""
        return checked(fields)

    def until(self, event: str, **data: Any) -> dict[str, Any]:
        """The next frame of that kind with that data; those before are read over."""
        return next(frame["data"] for frame in self if is_like(frame, event, data))


def checked(fields: Mapping[str, str]) -> dict[str, Any]:
    frame = {"event": fields["event"], "id": fields.get("id"), "data": json.loads(fields["data"])}
    valid(frame)
    return frame


def valid(frame: dict[str, Any]) -> None:
    """Holds a frame against the models of the OpenAPI document, which must know all its fields."""
    model = streaming.AnyJobEvent if frame["event"] == "overview" else streaming.JobEvent
    assert model.model_validate(frame).model_dump() == frame


def is_like(frame: Mapping[str, Any], event: str, data: Mapping[str, Any]) -> bool:
    return frame["event"] == event and {key: frame["data"][key] for key in data} == dict(data)


@contextmanager
def live_rig(
    folder: Path, guard: Guard | None = None, key: str | None = None, ping_s: float = 15, key_wait_s: float = 5
) -> Iterator[LiveRig]:
    """`key` goes with every request."""
    guard = guard or Guard()
    play, asked = Play(), []
    with (
        job_rig(folder) as rig,
        opened(str(folder / "jobs.db"), rig.clock) as stores,
        rig.dispatching(play),
        documented_session() as session,
    ):
        store = Uploads(rig.spool.root / "uploads", MAX_UPLOAD, check_room=rig.spool.check_room)
        outbox = stores.webhooks
        watch = Watch(rig.service, rig.hub)

        def validate(job: object) -> dict[str, Any]:
            asked.append(job)
            return {
                "ok": True,
                "format": "api",
                "errors": [],
                "warnings": [],
                "instances": [],
                "outputs": ["images"],
                "expected_s": None,
            }

        app = create_app(
            [
                events.router(watch, guard.sign, ping_s),
                sockets.router(watch, guard.knows, key_wait_s),
                outputs.router(rig.service),
                uploads.router(store),
                queueing.router(rig.service, rig.clock),
                deliveries.router(rig.service, outbox.deliveries, outbox.resend, Sealer(bytes(32)).open),
                validation.router(validate),
            ],
            probes=Probes("1"),
            guard=guard,
            max_body_bytes=1_000_000,
            body_limits={"/uploads": MAX_UPLOAD},
        )
        session.headers.update({"Authorization": f"Bearer {key}"} if key else {})
        with HttpServer(app) as server:
            yield LiveRig(server, rig, play, store, stores.jobs, outbox, asked, session)
        for _ in range(4):
            play << {}


def guarded(*keys: str, admin: str | None = None) -> Guard:
    """A door with keys, told of the paths of these routes."""
    operator_paths = (*OPERATOR_PATHS, *queueing.OPERATOR_PATHS, *deliveries.OPERATOR_PATHS)
    return Guard(keys, admin, operator_paths=operator_paths, late_paths=sockets.LATE_PATHS)
