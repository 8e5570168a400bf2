"""/api/comfy in this process over a real job layer and pool, around one ComfyUI."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from support import sample_jobs
from support.documented import documented_session
from support.http_server import HttpServer
from support.live_rig import Stream
from support.waiting import wait_for

from api import comfy_surface
from api.job_layer import JobLayer, build_job_layer
from api.routes import outputs
from api.routes.auth import Guard
from api.routes.comfy_words import ComfyEvent, ComfyStatus
from api.routes.limits import Rate
from api.routes.paths import COMFY_VIEW
from api.routes.probes import Probes
from api.server import create_app
from api.settings import Settings

ENDED = {"completed", "failed", "cancelled"}


class Events(Stream):
    """The events of /api/comfy/stream, each held against its schema."""

    def frame(self, fields: Mapping[str, str]) -> dict[str, Any]:
        event = {"event": fields["event"], "id": fields.get("id"), "data": json.loads(fields["data"])}
        assert ComfyEvent.model_validate(event).model_dump() == event
        if event["event"] == "status":
            ComfyStatus.model_validate(event["data"])
        return event


@contextmanager
def following(session: requests.Session, url: str, last_id: str | None = None) -> Iterator[Events]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with session.get(url, headers=headers, stream=True, timeout=30) as answer:
        assert answer.status_code == 200, answer.text
        yield Events(answer)


@dataclass
class ComfyRig:
    """The surface as its callers see it."""

    url: str
    comfy_url: str
    layer: JobLayer
    session: requests.Session

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(f"{self.url}/api/comfy{path}", timeout=30, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.session.post(f"{self.url}/api/comfy{path}", timeout=30, **options)

    def queue(self, workflow: sample_jobs.Workflow, **fields: Any) -> str:
        answer = self.post("/queue", json={"workflow": workflow, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["prompt_id"])

    def status(self, prompt_id: str) -> dict[str, Any]:
        answer = self.get(f"/status/{prompt_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ended(self, prompt_id: str) -> dict[str, Any]:
        return wait_for(lambda: (found := self.status(prompt_id))["status"] in ENDED and found, f"end of {prompt_id}")

    def elsewhere(self, workflow: sample_jobs.Workflow) -> str:
        """A prompt that somebody else queues in ComfyUI."""
        body = {"prompt": workflow, "extra_data": {"api_key_comfy_org": "sk-somebody-elses"}}
        answer = requests.post(f"{self.comfy_url}/prompt", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["prompt_id"])


@contextmanager
def comfy_rig(
    folder: Path,
    comfy_url: str,
    guard: Guard | None = None,
    key: str | None = None,
    *,
    starts: bool = True,
    **settings: Any,
) -> Iterator[ComfyRig]:
    """`key` goes with every request. Unless it `starts`, nothing is run and no ComfyUI is looked at."""
    guard = guard or Guard()
    given: dict[str, Any] = {
        "comfy_host": comfy_url,
        "comfy_run_dir": folder,
        "comfy_root": folder / "no-comfyui-here",
        "sqlite_db_path": folder / "jobs.db",
        "work_dir": folder / "work",
        "comfy_view_rate": None,
    }
    chosen = Settings(**{**given, **settings})
    layer = build_job_layer(chosen, {})
    app = create_app(
        [*comfy_surface.routers(layer, guard), outputs.router(layer.service)],
        probes=Probes("1"),
        guard=guard,
        max_body_bytes=1_000_000,
        rates=[Rate(chosen.comfy_view_rate, COMFY_VIEW)] if chosen.comfy_view_rate else [],
    )
    with HttpServer(app) as server, documented_session() as session:
        session.headers.update({"X-API-Key": key} if key else {})
        try:
            if starts:
                layer.start()
                wait_for(lambda: not layer.core.comfy.roster.troubles(), "ComfyUI to be usable")
            yield ComfyRig(server.url, comfy_url, layer, session)
        finally:
            if starts:
                layer.drain(0.1)
            layer.close()
