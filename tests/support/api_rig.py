"""The job routes behind the real door and over real sockets, with a handler that does what a job's workflow says."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from fastapi import APIRouter
from support.documented import documented_session
from support.http_server import HttpServer
from support.job_rig import JobRig, job_rig

from api.errors import ExecutionFailed, JobTimedOut
from api.jobs.ports import OutputFile
from api.jobs.result import failure
from api.routes import admin, jobs, runpod
from api.routes.auth import Guard
from api.routes.links import OutputLinks
from api.routes.probes import Probes
from api.server import create_app

MoreRoutes = Callable[[JobRig, OutputLinks], list[APIRouter]]
PIXELS = b"pixels"
PIXELS_BASE64 = "cGl4ZWxz"
WAIT_S = 10.0


def workflow(what: str = "picture") -> dict[str, Any]:
    """picture, wait (until released or cancelled, then a picture), fail, time out."""
    return {"1": {"class_type": what, "inputs": {}}}


@dataclass
class Scripted:
    """A JobHandler that notes the jobs it gets."""

    folder: Path
    released: threading.Event = field(default_factory=threading.Event)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    pixels: bytes = PIXELS
    copies: int = 1

    def __call__(self, job: Any, emit: Any, cancel: Any, limit: Any, host: Any) -> dict[str, Any]:
        self.jobs.append(job)
        match job["input"]["workflow"]["1"]["class_type"]:
            case "fail":
                detail: Any = {"node_id": "1", "message": "boom", "code": "exception"}
                return failure(ExecutionFailed("Node 1 (fail): boom", [detail]))
            case "time out":
                return failure(JobTimedOut("The job took longer than 1 s."))
            case "wait":
                stopped = threading.Event()
                cancel.on_cancel(stopped.set)
                while not (self.released.wait(0.01) or stopped.is_set()):
                    pass
                if cancel.is_set():
                    return failure(cancel.reason)
        return {"images": [self._picture(job["id"], host) for _ in range(self.copies)]}

    def _picture(self, job_id: Any, host: Any) -> dict[str, Any]:
        path = self.folder / f"made-{job_id}"
        path.write_bytes(self.pixels)
        digest = hashlib.sha256(self.pixels).hexdigest()
        file = OutputFile("1", "images", 0, "a b.png", "", "output", False, path, "image/png", len(self.pixels), digest)
        kept = host.inline.put(job_id, file)
        entry = {"filename": file.filename, "type": kept.type, "data": kept.data, "mime_type": file.mime_type}
        return {**entry, "size_bytes": file.size_bytes, "sha256": digest}


@dataclass
class ApiRig:
    """The worker as its callers see it, and the job layer behind it."""

    url: str
    jobs: JobRig
    core: Scripted
    session: requests.Session

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=WAIT_S, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.session.post(self.url + path, timeout=WAIT_S, **options)

    def delete(self, path: str) -> requests.Response:
        return self.session.delete(self.url + path, timeout=WAIT_S)

    def run(self, what: str = "picture", **fields: Any) -> str:
        """The id of a job submitted in the worker's own words."""
        answer = self.post("/run", json={"workflow": workflow(what), **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def ended(self, job_id: str) -> str:
        """The id, once the job has ended."""
        self.jobs.ended(self.jobs.service.get(job_id))  # type: ignore[arg-type]
        return job_id

    def hold(self) -> None:
        """From now on jobs stay in line."""
        self.jobs.hold()

    def let_go(self) -> None:
        self.jobs.usable.set()


@contextmanager
def api_rig(
    folder: Path, guard: Guard | None = None, key: str | None = None, more: MoreRoutes | None = None, **options: Any
) -> Iterator[ApiRig]:
    """`options` are those of the JobService; `key` goes with every request; `more` makes routers, asked first."""
    guard = guard or Guard()
    core = Scripted(folder)
    with job_rig(folder, **options) as rig, rig.dispatching(core), documented_session() as session:
        links = OutputLinks(guard.sign)
        workers = {"ready": 1, "idle": 1}
        app = create_app(
            [
                *(more(rig, links) if more else ()),
                jobs.router(rig.service, links),
                admin.router(rig.service),
                runpod.router(rig.service, links, lambda: workers),
            ],
            probes=Probes("1"),
            guard=guard,
            max_body_bytes=10_000_000,
        )
        session.headers.update({"Authorization": f"Bearer {key}"} if key else {})
        with HttpServer(app) as server:
            yield ApiRig(server.url, rig, core, session)
        core.released.set()
