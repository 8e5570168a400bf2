"""Uploads, events, outputs and checks of a whole worker: a real process, a stand-in as ComfyUI."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image
from support import sample_jobs
from support.api_worker import ApiWorker
from support.live_rig import Stream
from support.standin_process import StandinProcess
from support.waiting import wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture
def worker(tmp_path: Path, standin: StandinProcess) -> Iterator[ApiWorker]:
    with ApiWorker(tmp_path, standin.url) as process:
        yield process


def test_a_picture_goes_up_through_a_graph_and_down_again(worker: ApiWorker) -> None:
    picture = sample_jobs.png((200, 30, 60))
    ref = worker.post("/uploads", data=picture).json()["ref"]
    job = sample_jobs.inverted()
    assert worker.post("/validate", json={"workflow": job}).json()["format"] == "api"
    job_id = worker.submit({"input": {"workflow": job, "images": [{"name": "input.png", "image": ref}]}})
    with worker.session.get(f"{worker.url}/events/{job_id}", stream=True, timeout=30) as answer:
        frames = list(Stream(answer))
    assert frames[0]["event"] == "snapshot"
    assert (frames[-1]["event"], frames[-1]["data"]["status"]) == ("finished", "completed")
    (image,) = worker.get(f"/status/{job_id}?outputs=url").json()["result"]["images"]
    answer = worker.get(image["data"].removeprefix(worker.url))
    assert answer.headers["Content-Type"] == "image/png"
    pixel = Image.open(io.BytesIO(answer.content)).convert("RGB").getpixel((0, 0))
    assert pixel == (54, 225, 195)  # ComfyUI cuts off what is behind the point
    part = worker.get(image["data"].removeprefix(worker.url), headers={"Range": "bytes=1-3"})
    assert part.content == b"PNG"


def test_whoever_asks_for_previews_gets_them_whatever_the_job_says(worker: ApiWorker) -> None:
    sleep = sample_jobs.node("RecSleep", image=["1", 0], steps=10, dt=0.1, seed=1, preview="JPEG")
    workflow = {**sample_jobs.flat(0x1F2E3D), "3": sleep}
    workflow["2"]["inputs"]["images"] = ["3", 0]
    job_id = worker.submit({"input": {"workflow": workflow}})
    with worker.session.get(f"{worker.url}/events/{job_id}?previews=true", stream=True, timeout=30) as answer:
        frames = list(Stream(answer))
    shown = [frame["data"] for frame in frames if frame["event"] == "preview"]
    assert len(shown) >= 2
    assert Image.open(io.BytesIO(base64.b64decode(shown[-1]["data"]))).format == "JPEG"
    (made,) = [frame["data"] for frame in frames if frame["event"] == "output"]
    (image,) = worker.get(f"/status/{job_id}").json()["result"]["images"]
    named = ("node_id", "subfolder", "filename")
    assert [made[name] for name in named] == [image[name] for name in named]


def test_an_upload_outlasts_the_worker(worker: ApiWorker) -> None:
    picture = sample_jobs.png((1, 2, 3))
    session = worker.post("/uploads", params={"size": len(picture)}).headers["Location"]
    worker.session.patch(worker.url + session, data=picture[:50], headers={"Upload-Offset": "0"}, timeout=30)
    worker.kill()
    worker.start()
    assert worker.get(session).json()["offset_bytes"] == 50
    last = worker.session.patch(worker.url + session, data=picture[50:], headers={"Upload-Offset": "50"}, timeout=30)
    ref = last.json()["ref"]
    worker.kill()
    worker.start()
    images = [{"name": "input.png", "image": ref}]
    worker.post("/queue/pause")
    job_id = worker.submit({"input": {"workflow": sample_jobs.inverted(), "images": images}})
    # The job has what it needs: its upload may go before it runs.
    assert worker.session.delete(f"{worker.url}/uploads/{ref.removeprefix('upload:')}", timeout=30).status_code == 204
    worker.post("/queue/resume")
    assert worker.ended(job_id)["status"] == "completed"


def test_a_reference_to_nothing_is_refused(worker: ApiWorker) -> None:
    images = [{"name": "input.png", "image": f"upload:{'0' * 64}"}]
    answer = worker.post("/run", json={"workflow": sample_jobs.inverted(), "images": images})
    assert (answer.status_code, answer.json()["details"][0]["code"]) == (400, "unknown_upload")


def test_a_reader_is_told_that_the_server_stops_and_goes_on_after_it(tmp_path: Path, standin: StandinProcess) -> None:
    with ApiWorker(tmp_path, standin.url, {"SHUTDOWN_GRACE_S": "1"}) as worker:
        job_id = worker.submit({"input": {"workflow": sample_jobs.slow(4)}})
        with requests.get(f"{worker.url}/events/{job_id}", stream=True, timeout=30) as answer:
            stream = Stream(answer)
            stream.until("progress", node="StandinSleep")
            worker.process.terminate()
            assert "finished" not in [frame["event"] for frame in stream]
        assert stream.comments[-1].startswith("The server stops")
        wait_for(lambda: not worker.process.is_running, "the end of the process")
        worker.start()
        with requests.get(
            f"{worker.url}/events/{job_id}", headers={"Last-Event-ID": str(stream.ids[-1])}, stream=True, timeout=30
        ) as answer:
            events = [frame["event"] for frame in Stream(answer)]
        assert (events[0], events[-1]) == ("snapshot", "finished")
        assert worker.status(job_id)["status"] == "completed"


def slow(seconds: float, color: int, **options: Any) -> dict[str, Any]:
    return sample_jobs.job(sample_jobs.slow(seconds, color=color), **options)


def why(worker: ApiWorker, job_id: str, words: str) -> str:
    """What is told of the job, once it has these words."""
    return wait_for(lambda: words in (told := worker.get(f"/why/{job_id}").json()["why"]) and told, words)


def test_why_tells_what_is_in_the_way(tmp_path: Path) -> None:
    with StandinProcess() as standin, ApiWorker(tmp_path, standin.url) as worker:
        first = worker.submit(slow(60, 1))
        why(worker, first, "running at node")
        second = worker.submit(slow(60, 2))
        assert standin.url.removeprefix("http://") in why(worker, second, "in the queue of ComfyUI")
        third = worker.submit(slow(60, 3))
        assert why(worker, third, "next in line").endswith("2 jobs have begun, and one has to end.")
        standin.kill()
        assert "cannot be used now" in why(worker, first, "was begun on ComfyUI")


def test_the_time_to_live_goes_on_in_the_queue_of_comfyui(tmp_path: Path, standin: StandinProcess) -> None:
    with ApiWorker(tmp_path, standin.url) as worker:
        runs = worker.submit(slow(3, 0x31, ttl_s=1))
        why(worker, runs, "running at node")
        waits = worker.submit(slow(3, 0x32, ttl_s=1))
        assert worker.ended(waits)["code"] == "EXPIRED"
        # It had begun in time.
        assert worker.ended(runs)["status"] == "completed"
