"""/api/comfy/stream around jobs whose runs the test plays, and prompts of others that are where the test says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from support.comfy_rig import Events, comfy_rig, following
from support.documented import documented_session
from support.http_server import HttpServer
from support.job_rig import JobRig, job_rig
from support.live_rig import Play

from api.comfyui.lookup import Found, Place
from api.errors import ComfyUnreachable, JobNotFound, WorkerError
from api.ids import InstanceName
from api.jobs.events import NodeStarted, ProgressMade, SocketChanged, StepReached
from api.jobs.watching import Watch
from api.pool.foreign import Sighting
from api.routes import comfy_stream
from api.routes.auth import Guard
from api.routes.comfy_events import Backoff
from api.routes.comfy_prompts import Prompts
from api.routes.links import OutputLinks
from api.routes.probes import Probes
from api.server import create_app

FOREIGN = "b1946ac9-2492-4c1e-8d2f-0f4a6c1e7d11"


@dataclass
class Elsewhere:
    """Where somebody else's prompt is, look by look; the last one goes on being so."""

    looks: list[Found | WorkerError] = field(default_factory=list)

    def find(self, prompt_id: Any, instance: str | None = None) -> Sighting:
        look = self.looks.pop(0) if len(self.looks) > 1 else (self.looks or [JobNotFound("There is no such job.")])[0]
        if isinstance(look, WorkerError):
            raise look
        return Sighting(prompt_id, InstanceName("a:1"), look)


@dataclass
class StreamRig:
    url: str
    jobs: JobRig
    play: Play
    elsewhere: Elsewhere
    session: requests.Session

    @contextmanager
    def stream(self, prompt_id: str, last_id: str | None = None) -> Iterator[Events]:
        with following(self.session, f"{self.url}/api/comfy/stream/{prompt_id}", last_id) as events:
            yield events


@contextmanager
def stream_rig(folder: Path, guard: Guard | None = None, key: str | None = None) -> Iterator[StreamRig]:
    guard, play, elsewhere = guard or Guard(), Play(), Elsewhere()
    with job_rig(folder) as jobs, jobs.dispatching(play), documented_session() as session:
        prompts = Prompts(jobs.service, elsewhere)  # type: ignore[arg-type]
        routes = comfy_stream.router(
            Watch(jobs.service, jobs.hub), prompts, OutputLinks(guard.sign), guard.sign, Backoff(2, 0.01, 0.02)
        )
        app = create_app([routes], probes=Probes("1"), guard=guard, max_body_bytes=1_000_000)
        session.headers.update({"X-API-Key": key} if key else {})
        with HttpServer(app) as server:
            yield StreamRig(server.url, jobs, play, elsewhere, session)
        for _ in range(4):
            play << {}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StreamRig]:
    with stream_rig(tmp_path) as rig:
        yield rig


def test_a_job_from_its_place_in_line_to_its_end(rig: StreamRig) -> None:
    rig.jobs.hold()
    job = rig.jobs.submit()
    with rig.stream(job.id) as stream:
        waiting = stream.until("status")
        assert (waiting["prompt_id"], waiting["status"], waiting["position"]) == (job.id, "queued", 0)
        rig.jobs.usable.set()
        assert stream.until("status", status="running")["position"] is None
        rig.play << NodeStarted("3", "KSampler", "") << StepReached("3", 9, 20) << ProgressMade(42.5, 3, 7)
        running = stream.until("status", progress=42.5)
        assert (running["node"], running["step"], running["steps"]) == ("3", 9, 20)
        rig.play << SocketChanged(connected=False)
        warning = stream.until("warning")
        assert (warning["prompt_id"], warning["code"]) == (job.id, "SOCKET_LOST")
        rig.play << SocketChanged(connected=True)
        assert stream.until("warning")["code"] == "SOCKET_RESTORED"
        rig.play << {"images": [], "errors": ["Node 2: left out"], "details": [{"code": "dropped"}]}
        told = list(stream)
    assert [event["event"] for event in told] == ["warning", "status"]
    assert told[0]["data"] == {"prompt_id": job.id, "code": "dropped", "message": "Node 2: left out"}
    assert (told[1]["data"]["status"], told[1]["data"]["progress"]) == ("completed", 100)


def test_a_failure_is_an_error_and_then_the_end(rig: StreamRig) -> None:
    job = rig.jobs.submit()
    rig.play << {"error": "Node 3: boom", "code": "EXECUTION_FAILED", "details": []}
    rig.jobs.ended(job)
    with rig.stream(job.id) as stream:
        error, end = list(stream)
    assert error["data"] == {"prompt_id": job.id, "code": "EXECUTION_FAILED", "message": "Node 3: boom"}
    assert (error["id"], end["event"], end["data"]["status"]) == (None, "status", "failed")
    assert end["data"]["error"] == {"code": "EXECUTION_FAILED", "message": "Node 3: boom"}


def test_a_cancelled_job_ends_without_an_error(rig: StreamRig) -> None:
    rig.jobs.hold()
    job = rig.jobs.submit()
    with rig.stream(job.id) as stream:
        assert stream.until("status")["status"] == "queued"
        rig.jobs.service.cancel(job.id)
        (end,) = list(stream)
    assert (end["event"], end["data"]["status"], end["data"]["error"]) == ("status", "cancelled", None)


def test_a_reader_that_comes_back_gets_what_it_missed_in_whole_statuses(rig: StreamRig) -> None:
    job = rig.jobs.submit()
    with rig.stream(job.id) as stream:
        stream.until("status")
        rig.play << NodeStarted("1", "EmptyImage", "") << ProgressMade(10, 1, 3)
        stream.until("status", progress=10)
        place = stream.ids[-1]
    rig.play << SocketChanged(connected=False)
    with rig.stream(job.id, place) as stream:
        assert next(iter(stream))["event"] == "warning"
        rig.play << NodeStarted("2", "SaveImage", "")
        news = stream.until("status")
        assert (news["node"], news["started_at"], news["finished_at"]) == ("2", job.created_at, None)
        place = stream.ids[-1]
    rig.play << {}
    rig.jobs.ended(job)
    with rig.stream(job.id, place) as stream:
        (end,) = list(stream)
    assert (end["event"], end["data"]["status"]) == ("status", "completed")
    answer = rig.session.get(f"{rig.url}/api/comfy/stream/{job.id}?last_event_id={end['id']}", timeout=15)
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_prompt_of_others_over_an_outage_to_its_disappearance(rig: StreamRig) -> None:
    away = ComfyUnreachable("No connection to ComfyUI.")
    rig.elsewhere.looks = [Found(Place.PENDING, 1), Found(Place.PENDING, 1), away, away, Found(Place.RUNNING)]
    rig.elsewhere.looks.append(JobNotFound("gone"))
    with rig.stream(FOREIGN) as stream:
        told = [(event["event"], event["data"].get("code") or event["data"]["status"]) for event in stream]
    assert told == [
        ("warning", "POLLED"),
        ("status", "queued"),
        ("warning", "COMFY_UNREACHABLE"),
        ("status", "running"),
        ("error", "PROMPT_LOST"),
        ("status", "failed"),
    ]


def test_a_comfyui_that_stays_away_is_given_up(rig: StreamRig) -> None:
    rig.elsewhere.looks = [Found(Place.RUNNING), ComfyUnreachable("No connection to ComfyUI.")]
    with rig.stream(FOREIGN) as stream:
        told = [(event["event"], event["data"].get("code")) for event in stream]
    unreachable = "COMFY_UNREACHABLE"
    assert told == [("warning", "POLLED"), ("status", None), ("warning", unreachable), ("error", unreachable)]


def test_a_link_opens_the_stream_of_one_prompt_without_a_key(tmp_path: Path) -> None:
    with stream_rig(tmp_path, Guard(["secret"]), "secret") as rig:
        job, other = rig.jobs.submit(), rig.jobs.submit()
        rig.play << {} << {}
        rig.jobs.ended(job)
        answer = rig.session.post(f"{rig.url}/api/comfy/stream/{job.id}/link", timeout=15)
        link = answer.json()["stream"]
        assert requests.get(rig.url + link, timeout=15).status_code == 200
        assert requests.get(rig.url + link.replace(job.id, other.id), timeout=15).status_code == 401
        assert requests.get(f"{rig.url}/api/comfy/stream/{job.id}", timeout=15).status_code == 401


def refused(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_without_a_comfyui_it_is_told_that_nobody_can_say(tmp_path: Path) -> None:
    with comfy_rig(tmp_path, "http://127.0.0.1:9", starts=False) as rig:
        for path in (f"/status/{FOREIGN}", "/view?filename=a.png", "/object-info", f"/stream/{FOREIGN}"):
            assert refused(rig.get(path)) == (503, "COMFY_UNREACHABLE"), path
        (instance,) = rig.get("/health").json()["instances"]
        assert (instance["name"], instance["status"]) == ("127.0.0.1:9", "unhealthy")


def test_switched_off_only_health_answers(tmp_path: Path) -> None:
    with comfy_rig(tmp_path, "http://127.0.0.1:9", starts=False, comfy_enabled=False) as rig:
        assert rig.get("/health").json() == {"ok": True, "enabled": False}
        calls: list[Callable[..., requests.Response]] = [rig.get, rig.post]
        for call in calls:
            for path in ("", "/queue", f"/status/{FOREIGN}", "/gallery", "/view?filename=a.png"):
                assert refused(call(path)) == (404, "COMFY_DISABLED"), path


def test_files_are_limited_by_key_and_nothing_else_is(tmp_path: Path) -> None:
    guard = Guard(["first", "second"])
    with comfy_rig(tmp_path, "http://127.0.0.1:9", guard, "first", starts=False, comfy_view_rate="2/hour") as rig:
        path = "/view?filename=../a.png"
        assert [rig.get(path).status_code for _ in range(3)] == [400, 400, 429]
        assert rig.get(path).headers["Retry-After"]
        assert rig.get("/health").status_code == 200
        assert rig.get(path, headers={"X-API-Key": "second"}).status_code == 400
        assert requests.get(f"{rig.url}/api/comfy/health", timeout=15).status_code == 401
