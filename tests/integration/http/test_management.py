"""/v1/comfyui over sockets: workflows, their outputs as files, and the status of it all."""

import hashlib
import io
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from support.management_rig import ManagementRig, guarded, management_rig, picture
from support.waiting import wait_for

from api import server
from api.errors import ExecutionFailed, InvalidSettings
from api.jobs.events import NodeStarted, ProgressMade
from api.jobs.result import failure

UNKNOWN = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ManagementRig]:
    with management_rig(tmp_path) as rig:
        yield rig


def status(rig: ManagementRig, workflow_id: str) -> dict:
    return rig.get(f"/v1/comfyui/workflow/{workflow_id}").json()


def test_a_workflow_from_the_line_to_its_end(rig: ManagementRig) -> None:
    rig.hold()
    first = rig.submit()
    answer = rig.post("/v1/comfyui/workflow", json={"workflow": {"1": {"class_type": "X", "inputs": {}}}})
    second = answer.json().pop("workflowId")
    assert answer.json() == {"workflowId": second, "status": "queued", "queuePosition": 1}
    assert answer.headers["Location"] == f"/v1/comfyui/workflow/{second}"
    assert status(rig, first) == {
        "workflowId": first,
        "status": "queued",
        "progress": 0,
        "currentNode": None,
        "startTime": None,
        "completionTime": None,
        "outputs": [],
        "error": None,
    }
    rig.let_go()
    rig.play << NodeStarted("4", "KSampler", "") << ProgressMade(45.4, 1, 2)
    running = wait_for(lambda: (found := status(rig, first))["progress"] and found, "progress")
    assert (running["status"], running["progress"], running["currentNode"]) == ("running", 45, "4")
    # Milliseconds, whole ones; the rig's clock stands still.
    assert running["startTime"] == round(rig.jobs.clock() * 1000)
    rig.play << {"images": []} << {"images": []}
    ended = wait_for(lambda: (found := status(rig, first))["completionTime"] and found, "the end")
    assert (ended["status"], ended["progress"], ended["currentNode"]) == ("completed", 100, None)
    assert isinstance(ended["completionTime"], int)


def test_high_overtakes_at_once_and_low_stands_back(rig: ManagementRig) -> None:
    rig.hold()
    ids = {word: rig.submit(priority=word) for word in ("low", "normal", "high")}
    assert [job.id for job in rig.jobs.service.upcoming()] == [ids["high"], ids["normal"], ids["low"]]
    assert rig.post("/v1/comfyui/workflow", json={"workflow": {}, "priority": "urgent"}).status_code == 400


def test_what_another_gpu_is_called_is_told(rig: ManagementRig) -> None:
    answer = rig.post("/v1/comfyui/workflow", json={"workflow": {"1": {"class_type": "X"}}, "gpu": "salad"})
    assert answer.status_code == 400
    assert answer.json()["details"][0]["field"] == "gpu"
    assert "there is: local" in answer.json()["message"]
    rig.submit(gpu="LOCAL")
    rig.submit(gpu=None)


def test_a_failed_workflow_says_why(rig: ManagementRig) -> None:
    job = rig.ran(error=failure(ExecutionFailed("Node 3 (KSampler): boom")))
    found = status(rig, job.id)
    assert (found["status"], found["error"]) == ("failed", "Node 3 (KSampler): boom")


def test_cancelling(rig: ManagementRig) -> None:
    rig.hold()
    waiting = rig.submit()
    cancelled = rig.request("DELETE", f"/v1/comfyui/workflow/{waiting}")
    assert (cancelled.status_code, cancelled.json()) == (200, {"workflowId": waiting, "status": "cancelled"})
    found = status(rig, waiting)
    assert (found["status"], found["error"]) == ("cancelled", None)
    # Again: it is as it was asked to be.
    assert rig.request("DELETE", f"/v1/comfyui/workflow/{waiting}").status_code == 200
    assert rig.request("DELETE", f"/v1/comfyui/workflow/{UNKNOWN}").status_code == 404
    rig.let_go()
    ended = rig.ran()
    answer = rig.request("DELETE", f"/v1/comfyui/workflow/{ended.id}")
    assert (answer.status_code, answer.json()["error"], answer.json()["statusCode"]) == (409, "Conflict", 409)


def test_cancelling_a_running_one_waits_until_it_has_stopped(rig: ManagementRig) -> None:
    workflow_id = rig.submit()
    wait_for(lambda: status(rig, workflow_id)["status"] == "running", "the start")

    def stop_when_told(job_id: str, host: object) -> dict:
        wait_for(lambda: rig.jobs.service.get(job_id).cancel_requested, "the cancel")  # type: ignore[arg-type]
        return {"error": "The job was cancelled.", "code": "CANCELLED"}

    rig.play << stop_when_told
    answer = rig.request("DELETE", f"/v1/comfyui/workflow/{workflow_id}")
    assert answer.json() == {"workflowId": workflow_id, "status": "cancelled"}


def test_outputs_newest_first_of_one_or_of_all(rig: ManagementRig) -> None:
    first = rig.ran(("image.png", picture()), ("b.txt", b"text"))
    rig.jobs.clock.tick(60)
    second = rig.ran(("image.png", picture()))
    rig.ran()
    listed = rig.get("/v1/comfyui/outputs").json()["outputs"]
    assert [each["filename"] for each in listed] == [
        f"{second.id}_image.png",
        f"{first.id}_image.png",
        f"{first.id}_b.txt",
    ]
    assert listed[0] == {
        "filename": f"{second.id}_image.png",
        "workflowId": second.id,
        "type": "png",
        "size": len(picture()),
        "createdAt": round(rig.jobs.clock() * 1000),
        "url": f"/v1/comfyui/output/{second.id}_image.png",
    }
    assert status(rig, second.id)["outputs"] == listed[:1]
    mine = rig.get("/v1/comfyui/outputs", params={"workflowId": first.id}).json()["outputs"]
    assert mine == listed[1:]
    assert len(rig.get("/v1/comfyui/outputs", params={"limit": 2}).json()["outputs"]) == 2
    assert rig.get("/v1/comfyui/outputs", params={"workflowId": UNKNOWN}).json() == {"outputs": []}
    assert rig.get("/v1/comfyui/outputs", params={"limit": 0}).status_code == 422


def test_the_same_name_twice_makes_two_addresses(rig: ManagementRig) -> None:
    job = rig.ran(("a.png", b"one"), ("a.png", b"two"), ("1_a.png", b"three"))
    listed = rig.get("/v1/comfyui/outputs", params={"workflowId": job.id}).json()["outputs"]
    assert [rig.get(each["url"]).content for each in listed] == [b"one", b"two", b"three"]


def test_an_output_whole_or_a_range_or_not_at_all(rig: ManagementRig) -> None:
    content = picture()
    job = rig.ran(("image.png", content))
    path = f"/v1/comfyui/output/{job.id}_image.png"
    whole = rig.get(path)
    assert (whole.content, whole.headers["Content-Type"]) == (content, "image/png")
    assert whole.headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    part = rig.get(path, headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, content[2:6])
    assert rig.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    head = rig.request("HEAD", path)
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(content)))
    for name in (f"{UNKNOWN}_image.png", f"{job.id}_other.png", f"{job.id}_", "image.png", "..%2fjobs.db"):
        assert rig.get(f"/v1/comfyui/output/{name}").status_code == 404


def test_a_thumbnail_is_small_and_cached_by_its_size(rig: ManagementRig) -> None:
    job = rig.ran(("image.png", picture(400)), ("b.txt", b"text"))
    path = f"/v1/comfyui/output/{job.id}_image.png?thumbnail="
    answer = rig.get(path + "100")
    assert answer.headers["Content-Type"] == "image/webp"
    assert Image.open(io.BytesIO(answer.content)).size == (100, 100)
    assert rig.get(path + "100", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert rig.get(path + "50").headers["ETag"] != answer.headers["ETag"]
    assert rig.get(path + "5000").status_code == 422
    head = rig.request("HEAD", path + "100")
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(answer.content)))
    assert rig.get(f"/v1/comfyui/output/{job.id}_b.txt?thumbnail=64").status_code == 400


def test_files_of_the_outputs_folder_are_listed_and_sent_and_nothing_beyond(rig: ManagementRig, tmp_path: Path) -> None:
    (rig.outputs / "sub folder").mkdir()
    (rig.outputs / "sub folder" / "x.png").write_bytes(picture())
    (rig.outputs / ".hidden.png").write_bytes(b"x")
    (rig.outputs / "notes.py").write_bytes(b"x")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (rig.outputs / "link.png").symlink_to(tmp_path / "secret.png")
    (entry,) = rig.get("/v1/comfyui/outputs").json()["outputs"]
    assert (entry["filename"], entry["workflowId"], entry["type"]) == ("sub folder/x.png", None, "png")
    answer = rig.get(entry["url"])
    assert (answer.status_code, answer.content) == (200, picture())
    assert answer.headers["Cache-Control"] == "private, no-cache"
    for name in ("link.png", ".hidden.png", "notes.py", "../secret.png", "sub folder"):
        assert rig.get(f"/v1/comfyui/output/{quote(name, safe='')}").status_code == 404


def test_the_status_counts_in_the_same_words(rig: ManagementRig) -> None:
    rig.ran()
    rig.hold()
    rig.submit()
    found = rig.get("/v1/status").json()
    assert (found["status"], found["queueLength"], found["paused"]) == ("healthy", 1, False)
    assert found["workflows"] == {"queued": 1, "running": 0, "completed": 1, "cancelled": 0, "failed": 0}
    assert (found["gpus"], found["streamClients"], found["uptime"]) == (["local"], 0, 2.5)


def test_all_of_it_needs_the_key_but_metrics_and_health(tmp_path: Path) -> None:
    with management_rig(tmp_path, guarded("k", admin="op"), key="k") as rig:
        strange = {"X-API-Key": "other"}
        for path in ("/v1/status", "/v1/comfyui/outputs", "/v1/comfyui/models", f"/v1/comfyui/workflow/{UNKNOWN}"):
            answer = rig.get(path, headers=strange)
            assert (answer.status_code, answer.json()["error"]) == (401, "Unauthorized")
            assert rig.get(path).status_code in {200, 404}
        assert rig.get("/metrics", headers=strange).status_code == 200
        assert rig.get("/health", headers=strange).status_code == 200
        # Having files fetched is the operator's.
        assert rig.get("/v1/comfyui/models/downloads").status_code == 403
        assert rig.get("/v1/comfyui/models/downloads", headers={"X-API-Key": "op"}).status_code == 200


def test_a_port_that_is_taken_is_named_by_its_own_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = server.Listen("127.0.0.1", taken.getsockname()[1], "MANAGEMENT_API_PORT", "MANAGEMENT_API_HOST")
        with pytest.raises(InvalidSettings, match="set MANAGEMENT_API_PORT or MANAGEMENT_API_HOST"):
            server.bind(*listen)
