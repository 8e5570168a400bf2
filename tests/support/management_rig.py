"""/v1/comfyui behind the real door, around jobs whose runs the test plays, with folders of models and outputs."""

import hashlib
import io
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from PIL import Image
from support.documented import documented_session
from support.http_server import HttpServer
from support.job_rig import JobRig, job_rig
from support.live_rig import Play

from api.jobs.broadcast import Broadcast
from api.jobs.gallery import Gallery
from api.jobs.job import Job
from api.jobs.ports import OutputFile
from api.jobs.watching import Watch
from api.metrics import Metrics, State
from api.models.downloads import Downloads
from api.models.fetch import ModelFetcher
from api.models.folders import ModelFolders
from api.models.hashes import HashBook
from api.models.listing import ModelListing
from api.models.source import AllowedHosts, Sources
from api.outputs.folder import OutputFolder
from api.routes import exposition, management, management_models, management_stream
from api.routes.auth import Guard
from api.routes.exposition import Timing
from api.routes.management import StatusFacts
from api.routes.management_events import Telling
from api.routes.management_words import output_object
from api.routes.probes import Probes
from api.server import create_app

WAIT_S = 15.0


def picture(size: int = 64, color: str = "teal") -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (size, size), color).save(made, "PNG")
    return made.getvalue()


@dataclass
class ManagementRig:
    server: HttpServer
    jobs: JobRig
    play: Play
    metrics: Metrics
    book: HashBook
    models: Path
    outputs: Path
    session: requests.Session

    @property
    def url(self) -> str:
        return self.server.url

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=WAIT_S, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.request("POST", path, **options)

    def submit(self, **fields: Any) -> str:
        """A workflow's id."""
        body = {"workflow": {"1": {"class_type": "EmptyImage", "inputs": {}}}, **fields}
        answer = self.post("/v1/comfyui/workflow", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["workflowId"])

    def ran(self, *files: tuple[str, bytes], error: Mapping[str, Any] | None = None) -> Job:
        """A job that has ended, with those files as its outputs."""
        job = self.jobs.submit()
        self.play << (lambda job_id, host: {**_result(self.jobs.spool.root, job_id, host, files), **(error or {})})
        return self.jobs.ended(job)

    def hold(self) -> None:
        """From now on jobs stay in line."""
        self.jobs.usable.clear()

    def let_go(self) -> None:
        self.jobs.usable.set()


def _result(folder: Path, job_id: Any, host: Any, files: tuple[tuple[str, bytes], ...]) -> dict[str, Any]:
    images = []
    for number, (filename, content) in enumerate(files):
        path = folder / f"made-{job_id}-{number}"
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        mime_type = "image/png" if filename.endswith(".png") else "text/plain"
        name = filename.rpartition("/")[2]
        file = OutputFile("1", "images", 0, name, "", "output", False, path, mime_type, len(content), digest)
        put = host.inline.put(job_id, file)
        entry = {"filename": name, "type": put.type, "data": put.data, "mime_type": mime_type}
        images.append({**entry, "size_bytes": len(content), "sha256": digest})
    return {"images": images}


@contextmanager
def management_rig(
    folder: Path,
    guard: Guard | None = None,
    key: str | None = None,
    *,
    hosts: tuple[str, ...] = (),
    hub_url: str = "https://huggingface.co",
    idle_s: float = 300.0,
) -> Iterator[ManagementRig]:
    """`key` goes with every request; `hosts` are those models may come from."""
    guard = guard or Guard()
    play = Play()
    models, outputs = folder / "models", folder / "comfyui-output"
    for path in (models / "checkpoints", models / "loras", models / "upscale_models", outputs):
        path.mkdir(parents=True)
    with job_rig(folder) as rig, rig.dispatching(play), documented_session() as session:
        metrics = Metrics("1", lambda: State(rig.service.counts(), rig.service.paused(), rig.spool.free_bytes()))
        rig.service.on_end(metrics.note_end)
        rig.hub.listen(metrics.note_update)
        book = HashBook(folder / "hashes.json")
        folders = ModelFolders([models], {}, ttl_s=0.0)
        allowed = AllowedHosts(hosts)
        downloads = Downloads(
            Sources(allowed, hub_url, "hub-token"),
            folders,
            ModelFetcher(allowed, max_bytes=50_000_000, retry_wait_s=0.01),
            book,
        )
        gallery = Gallery(rig.service)
        telling = Telling(lambda job_id: [output_object(made) for made in gallery.of(rig.service.get(job_id))])
        clients = management_stream.Clients()
        surface = management.Management(
            rig.service,
            gallery,
            lambda: StatusFacts("1", 2.5, rig.service.counts(), rig.service.paused(), stream_clients=clients.count),
            clock=time.time,
            folder=OutputFolder(outputs, ttl_s=0.0),
        )
        broadcast = Broadcast(Watch(rig.service, rig.hub), telling)
        app = create_app(
            [
                exposition.router(metrics.exposition),
                management_stream.router(broadcast, guard.knows, guard.sign, clients, idle_s=idle_s),
                management_models.router(ModelListing(folders, list), book, downloads),
                management.router(surface),
            ],
            probes=Probes("1"),
            guard=guard,
            max_body_bytes=1_000_000,
            timing=Timing(metrics.note_request, metrics.note_sockets),
        )
        session.headers.update({"X-API-Key": key} if key else {})
        with HttpServer(app) as server:
            yield ManagementRig(server, rig, play, metrics, book, models, outputs, session)
        downloads.stop()
        for _ in range(4):
            play << {}


def guarded(*keys: str, admin: str | None = None) -> Guard:
    """A door with keys, told of the paths of these routes."""
    operator_paths = management_models.OPERATOR_PATHS
    return Guard(keys, admin, operator_paths=operator_paths, late_paths=(management_stream.PATH,))
