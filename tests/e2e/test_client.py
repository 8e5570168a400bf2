"""The client against a real worker: from submit to files, through a kill, in both dialects."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from support import sample_jobs
from support.api_worker import ApiWorker
from support.standin_process import StandinProcess

from api.client import Client, Event, Refused, StillRunning
from api.client_runpod import RunpodClient

pytestmark = pytest.mark.e2e
KEY = "client-key"


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorker]:
    folder = tmp_path_factory.mktemp("worker")
    with StandinProcess() as standin, ApiWorker(folder, standin.url, {"API_KEY": KEY}) as worker:
        yield worker


def picture(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes())).convert("RGB")


@pytest.fixture
def client(worker: ApiWorker) -> Iterator[Client]:
    with Client(worker.url, KEY) as client:
        yield client


def test_from_submit_to_file(client: Client, tmp_path: Path):
    workflow = sample_jobs.inverted("in.png")
    job = client.submit(workflow, {"in.png": sample_jobs.png((200, 30, 60))}, priority="high")
    events: list[Event] = []
    done = client.wait(job.job_id, timeout_s=60, on_event=events.append)
    (path,) = client.download(done, tmp_path)
    assert picture(path).getpixel((1, 1)) == pytest.approx((55, 225, 195), abs=1)
    assert (events[0].kind, events[-1].kind) == ("snapshot", "finished")
    assert [job.job_id for job in client.list(limit=1)] == [job.job_id]
    assert client.stats()["completed_jobs"] >= 1
    assert client.health()["status"] == "healthy"


def test_outputs_come_inline_when_asked_for(client: Client, tmp_path: Path):
    job = client.submit(sample_jobs.flat(0x00FF00))
    client.wait(job.job_id, timeout_s=60)
    (path,) = client.download(client.status(job.job_id, outputs="base64"), tmp_path)
    assert picture(path).getpixel((1, 1)) == (0, 255, 0)


def test_large_inputs_are_uploaded(client: Client, tmp_path: Path):
    content = sample_jobs.noise_png(1600)
    assert len(content) > 5_000_000
    (tmp_path / "in.png").write_bytes(content)
    job = client.submit(sample_jobs.inverted("in.png"), {"in.png": tmp_path / "in.png"})
    done = client.wait(job.job_id, timeout_s=60)
    assert done.succeeded, done.error
    (path,) = client.download(done, tmp_path / "out")
    assert picture(path).size == (1600, 1600)
    assert client.upload(content).startswith("upload:")


def test_the_same_key_is_the_same_job(client: Client):
    workflow = sample_jobs.flat(0x123123)
    assert (
        client.submit(workflow, idempotency_key="once").job_id == client.submit(workflow, idempotency_key="once").job_id
    )
    with pytest.raises(Refused) as caught:
        client.submit(sample_jobs.flat(0x321321), idempotency_key="once")
    assert (caught.value.status, caught.value.code) == (422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("labels", [{}, {"labels": {"shop": "north"}}])
def test_what_stands_beside_input_counts(client: Client, labels: dict[str, object]):
    content = sample_jobs.job(sample_jobs.inverted("in.png"), images={"in.png": sample_jobs.png()})
    job = client.submit_job({**content, "policy": {"lowPriority": True, "executionTimeout": 60_000}, **labels})
    assert client.wait(job.job_id, timeout_s=60).succeeded
    (entry,) = (listed.raw for listed in client.list(limit=1))
    assert (entry["job_id"], entry["priority"], entry["labels"]) == (job.job_id, "low", labels.get("labels", {}))


def test_a_named_workflow_in_a_job_file(client: Client, tmp_path: Path):
    image = base64.b64encode(sample_jobs.png()).decode()
    content = {"input": {"workflow_name": "resize", "inputs": {"image": image, "width": 20}}}
    assert client.validate_job(content)["ok"] is True
    done = client.wait(client.submit_job(content).job_id, timeout_s=60)
    assert done.succeeded, done.error
    (path,) = client.download(done, tmp_path)
    assert picture(path).width == 20


def test_a_cancelled_job_is_called_so(client: Client):
    job = client.submit(sample_jobs.slow(60))
    with pytest.raises(StillRunning):
        client.wait(job.job_id, timeout_s=1)
    client.cancel(job.job_id)
    assert client.wait(job.job_id, timeout_s=60).status == "cancelled"


def test_a_watch_outlasts_a_worker_that_is_killed(worker: ApiWorker, client: Client):
    job = client.submit(sample_jobs.slow(3, color=0x010203))
    kinds: list[str] = []
    for event in client.watch(job.job_id, timeout_s=90):
        if event.kind == "started" and worker.process.is_running and "started" not in kinds:
            worker.kill()
            worker.start()
        kinds.append(event.kind)
    assert kinds[-1] == "finished"
    assert client.status(job.job_id).succeeded


def test_validation(client: Client):
    assert client.validate(sample_jobs.inverted("in.png"), {"in.png": b"x"})["ok"] is True
    report = client.validate(sample_jobs.inverted("in.png"))
    assert (report["ok"], report["errors"][0]["code"]) == (False, "custom_validation_failed")


def test_a_wrong_key_and_an_unknown_job_are_refused(worker: ApiWorker, client: Client):
    with Client(worker.url, "wrong") as stranger, pytest.raises(Refused) as caught:
        stranger.status("nothing")
    assert caught.value.status == 401
    with pytest.raises(Refused) as caught:
        client.status("nothing")
    assert (caught.value.status, caught.value.code) == (404, "JOB_NOT_FOUND")


def test_the_worker_s_own_runpod_api(worker: ApiWorker, tmp_path: Path):
    with RunpodClient("local", KEY, base_url=f"{worker.url}/v2") as client:
        job = client.submit(sample_jobs.inverted("in.png"), {"in.png": sample_jobs.png()})
        done = client.wait(job.job_id, timeout_s=60)
        (path,) = client.download(done, tmp_path)
        stopped = client.submit(sample_jobs.slow(60, color=0x445566))
        client.cancel(stopped.job_id)
        assert client.wait(stopped.job_id, timeout_s=60).status == "cancelled"
        assert client.stats()["completed"] >= 1
    assert picture(path).size == (48, 48)
