"""RunPod's API for one's own box, call by call, over sockets."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from support.api_rig import PIXELS_BASE64, ApiRig, api_rig, workflow
from support.waiting import wait_for

from api.ids import JobId
from api.jobs.job import Job, Priority, Status
from api.jobs.outbox import Delivery
from api.routes.auth import Guard
from api.routes.runpod_job import webhook_body

EP = "/v2/any-endpoint"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiRig]:
    with api_rig(tmp_path) as rig:
        yield rig


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiRig]:
    """One without jobs, for requests that are refused."""
    with api_rig(tmp_path_factory.mktemp("empty")) as rig:
        yield rig


def sent(api: ApiRig, what: str = "picture", **more: Any) -> str:
    answer = api.post(f"{EP}/run", json={"input": {"workflow": workflow(what)}, **more})
    assert answer.status_code == 200, answer.text
    job_id = str(answer.json()["id"])
    assert answer.json() == {"id": job_id, "status": "IN_QUEUE"}
    return job_id


def told(api: ApiRig, job_id: str) -> Any:
    return api.get(f"{EP}/status/{job_id}").json()


def test_a_job_from_the_queue_to_its_result(api: ApiRig) -> None:
    api.hold()
    job_id = sent(api, "wait")
    assert told(api, job_id) == {"id": job_id, "status": "IN_QUEUE"}
    api.jobs.clock.tick(1.5)
    api.let_go()
    wait_for(lambda: told(api, job_id)["status"] == "IN_PROGRESS", "the start")
    running = told(api, job_id)
    assert list(running) == ["id", "status", "delayTime", "workerId", "output"]
    assert (running["delayTime"], running["workerId"]) == (1500, "worker-1")
    assert running["output"] == {"percent": 0.0, "node_id": None, "step": None, "steps": None}
    api.jobs.clock.tick(2.25)
    api.core.released.set()
    done = told(api, api.ended(job_id))
    assert list(done) == ["id", "status", "delayTime", "executionTime", "workerId", "output"]
    assert (done["status"], done["delayTime"], done["executionTime"]) == ("COMPLETED", 1500, 2250)
    assert done["output"]["images"][0]["data"] == PIXELS_BASE64
    assert api.post(f"{EP}/status/{job_id}").json() == done
    linked = api.get(f"{EP}/status/{job_id}?outputs=url").json()["output"]["images"][0]
    assert linked["data"].startswith(f"{api.url}/output/{job_id}/0/")


@pytest.mark.parametrize(
    ("what", "word", "code"), [("fail", "FAILED", "EXECUTION_FAILED"), ("time out", "TIMED_OUT", "TIMED_OUT")]
)
def test_a_failed_job_has_its_error_beside_the_rest(api: ApiRig, what: str, word: str, code: str) -> None:
    body = told(api, api.ended(sent(api, what)))
    assert (body["status"], body["output"]["code"]) == (word, code)
    assert isinstance(body["error"], str) and body["error"]
    assert "error" not in body["output"]


def test_runsync_answers_with_the_result(api: ApiRig) -> None:
    body = api.post(f"{EP}/runsync", json={"input": {"workflow": workflow()}}).json()
    assert body["id"].startswith("sync-")
    assert (body["status"], body["output"]["images"][0]["data"]) == ("COMPLETED", PIXELS_BASE64)
    failed = api.post(f"{EP}/runsync", json={"input": {"workflow": workflow("fail")}})
    assert (failed.status_code, failed.json()["status"]) == (200, "FAILED")


def test_nothing_waits_for_a_caller_who_has_left(api: ApiRig) -> None:
    queued = sent(api, "wait")
    for _ in range(3):
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{api.url}{EP}/status-sync/{queued}?wait=300000", timeout=0.3)
    wait_for(lambda: api.jobs.hub.readers() == 0, "the waits to end")


def test_runsync_and_status_as_runpods_local_server_has_them(api: ApiRig) -> None:
    body = api.post("/runsync", json={"input": {"workflow": workflow()}}).json()
    assert (body["status"], body["id"][:5]) == ("COMPLETED", "sync-")
    assert body["output"]["images"][0]["data"] == PIXELS_BASE64
    assert api.post(f"/status/{body['id']}", json={}).json() == body
    assert api.get(f"/status/{body['id']}").json() == body
    refused = api.post("/runsync", data="{")
    assert refused.status_code == 400
    assert refused.json()["error"] == refused.json()["message"]


def test_runsync_answers_what_there_is_when_it_takes_longer(api: ApiRig) -> None:
    body = api.post(f"{EP}/runsync?wait=1000", json={"input": {"workflow": workflow("wait")}}).json()
    assert (body["status"], body["id"][:5]) == ("IN_PROGRESS", "sync-")
    queued = api.post(f"{EP}/runsync?wait=1000", json={"input": {"workflow": workflow()}}).json()
    assert queued == {"id": queued["id"], "status": "IN_QUEUE"}
    api.core.released.set()
    assert told(api, api.ended(body["id"]))["status"] == "COMPLETED"
    waited = api.get(f"{EP}/status-sync/{queued['id']}?wait=5000").json()
    assert waited["status"] == "COMPLETED"


def test_a_job_goes_on_when_its_caller_leaves(api: ApiRig) -> None:
    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{api.url}{EP}/runsync", json={"input": {"workflow": workflow("wait")}}, timeout=0.5)
    (job,) = api.get("/jobs").json()["jobs"]
    api.core.released.set()
    assert told(api, api.ended(job["job_id"]))["status"] == "COMPLETED"


def test_the_stream_gives_each_thing_once_and_ends(api: ApiRig) -> None:
    job_id = sent(api, "wait")
    wait_for(lambda: api.core.jobs, "the start")
    first = api.get(f"{EP}/stream/{job_id}").json()
    assert (first["status"], len(first["stream"])) == ("IN_PROGRESS", 1)
    assert api.get(f"{EP}/stream/{job_id}").json()["stream"] == []
    api.core.released.set()
    api.ended(job_id)
    last = api.get(f"{EP}/stream/{job_id}").json()
    assert (last["status"], last["stream"][0]["output"]["images"][0]["data"]) == ("COMPLETED", PIXELS_BASE64)
    assert api.get(f"{EP}/stream/{job_id}").json() == {"id": job_id, "status": "COMPLETED", "stream": []}


def test_who_leaves_the_stream_takes_no_news_along(api: ApiRig) -> None:
    job_id = sent(api, "wait")
    wait_for(lambda: told(api, job_id)["status"] == "IN_PROGRESS", "the start")
    readers = api.jobs.hub.readers()
    with socket.create_connection((urlsplit(api.url).hostname, urlsplit(api.url).port)) as gone:
        gone.sendall(f"GET {EP}/stream/{job_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_for(lambda: api.jobs.hub.readers() > readers, "the reader")
    wait_for(lambda: api.jobs.hub.readers() == readers, "its leaving")
    assert len(api.get(f"{EP}/stream/{job_id}").json()["stream"]) == 1
    api.core.released.set()


def test_the_stream_spells_a_cancelled_job_failed(api: ApiRig) -> None:
    api.hold()
    job_id = sent(api)
    assert api.get(f"{EP}/stream/{job_id}").json() == {"id": job_id, "status": "IN_QUEUE", "stream": []}
    api.post(f"{EP}/cancel/{job_id}")
    assert told(api, job_id)["status"] == "CANCELLED"
    assert api.get(f"{EP}/stream/{job_id}").json() == {"id": job_id, "status": "FAILED", "stream": []}


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"not JSON"])
def test_cancel_takes_any_body(api: ApiRig, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    running = sent(api, "wait")
    wait_for(lambda: api.core.jobs, "the start")
    waiting = sent(api)
    for job_id in (waiting, running):
        answer = api.post(f"{EP}/cancel/{job_id}", data=body, headers=headers)
        assert answer.json() == {"id": job_id, "status": "CANCELLED"}
    assert told(api, api.ended(running))["status"] == "CANCELLED"
    assert "error" not in told(api, waiting)
    done = api.ended(sent(api))
    assert api.post(f"{EP}/cancel/{done}", data=body, headers=headers).json() == {"id": done, "status": "COMPLETED"}


def test_only_failed_jobs_are_run_again(api: ApiRig) -> None:
    failed, done = api.ended(sent(api, "fail")), api.ended(sent(api))
    assert api.post(f"{EP}/retry/{failed}").json() == {"id": failed, "status": "IN_QUEUE"}
    wait_for(lambda: len(api.core.jobs) == 3, "the second run")
    refused = api.post(f"{EP}/retry/{done}")
    assert (refused.status_code, "COMPLETED" in refused.json()["error"]) == (400, True)


def test_purge_cancels_what_waits_and_nothing_else(api: ApiRig) -> None:
    running = sent(api, "wait")
    wait_for(lambda: api.core.jobs, "the start")
    waiting = [sent(api), sent(api)]
    answer = api.post(f"{EP}/purge-queue", headers={"Content-Type": "application/json"})
    assert answer.json() == {"removed": 2, "status": "completed"}
    assert [told(api, job_id)["status"] for job_id in waiting] == ["CANCELLED", "CANCELLED"]
    assert told(api, running)["status"] == "IN_PROGRESS"


def test_health_counts_jobs_and_workers(api: ApiRig) -> None:
    api.ended(sent(api))
    api.ended(sent(api, "fail"))
    sent(api, "wait")
    wait_for(lambda: len(api.core.jobs) == 3, "the start")
    sent(api)
    assert api.get(f"{EP}/health").json() == {
        "jobs": {"completed": 1, "failed": 1, "inProgress": 1, "inQueue": 1, "retried": 0},
        "workers": {"idle": 1, "initializing": 0, "ready": 1, "running": 0, "throttled": 0, "unhealthy": 0},
    }


def test_the_policy_reaches_the_queue_and_the_handler(api: ApiRig) -> None:
    api.hold()
    policy = {"executionTimeout": 60_000, "ttl": 120_000, "lowPriority": True}
    s3 = {"accessId": "a", "accessSecret": "b", "bucketName": "c", "endpointUrl": "https://s3.example.com"}
    job_id = sent(api, policy=policy, s3Config=s3, webhook="https://example.com/hook", unknown=1)
    job = api.jobs.service.get(job_id)  # type: ignore[arg-type]
    assert (job.priority, job.timeout_s, job.expires_at) == (Priority.LOW, 60.0, job.created_at + 120)
    assert job.webhook is not None and "example.com" not in job.webhook
    in_address = api.post(f"{EP}/run?ttl=30000", json={"input": {"workflow": workflow()}}).json()["id"]
    assert api.jobs.service.get(in_address).expires_at == job.created_at + 30
    api.let_go()
    api.ended(job_id)
    given = api.core.jobs[0] if api.core.jobs[0]["id"] == job_id else api.core.jobs[1]
    # The rest of it is the queue's.
    assert (given["policy"], given["s3Config"]) == ({"executionTimeout": 60_000, "ttl": None, "lowPriority": None}, s3)


@pytest.mark.parametrize("path", ["/run", f"{EP}/run"])
def test_what_a_native_body_says_beside_the_input_holds_as_well(api: ApiRig, path: str) -> None:
    api.hold()

    def job(**beside: Any) -> Job:
        answer = api.post(path, json={"input": {"workflow": workflow()}, **beside})
        assert answer.status_code == 200, answer.text
        return api.jobs.service.get(JobId(answer.json()["id"]))

    said = job(priority="High", ttl_s=60, labels={"shop": "a"}, policy={"lowPriority": True})
    assert (said.priority, said.expires_at) == (Priority.HIGH, said.created_at + 60)
    assert said.labels == {"shop": "a"}
    assert job(policy={"lowPriority": True, "ttl": 30_000}, ttl_s=60).expires_at == said.created_at + 30
    refused = api.post(path, json={"input": {"workflow": workflow()}, "labels": ["x"]})
    assert refused.status_code == 400 and "labels" in refused.text


@pytest.mark.parametrize("path", ["run", "runsync"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"workflow": {}}', 400),
        (b'{"input": {}}', 400),
        (b'{"input": {"input": {}}}', 400),
        (b'{"input": {"workflow": {"1": {"class_type": "x", "inputs": {}}}}, "policy": {"ttl": "soon"}}', 400),
        (b'{"input": {"workflow": {"1": {"class_type": "x", "inputs": {}}}}, "policy": {"ttl": 5}}', 400),
        (b'{"input": {"workflow": {"1": {"class_type": "x", "inputs": {}}}}, "policy": []}', 400),
        (b'{"input": {"workflow": {"1": {"class_type": "x", "inputs": {}}}}, "webhook": ["x"]}', 400),
    ],
)
def test_what_is_no_job_is_refused_in_a_sentence(empty: ApiRig, path: str, body: bytes, status: int) -> None:
    answer = empty.post(f"{EP}/{path}", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"] == answer.json()["message"] != "Bad Request"


def test_what_runpods_clients_leave_out_as_empty_is_left_out(api: ApiRig) -> None:
    sent(api, policy={}, webhook="", s3Config={})
    sent(api, policy=None, webhook=None, s3Config=None)


@pytest.mark.parametrize("wait", ["0", "999", "300001", "nan", "x"])
def test_the_wait_has_limits(empty: ApiRig, wait: str) -> None:
    answer = empty.post(f"{EP}/runsync?wait={wait}", json={"input": {"workflow": workflow()}})
    assert (answer.status_code, "wait" in answer.json()["error"]) == (422, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "status"),
        ("POST", "status"),
        ("GET", "status-sync"),
        ("GET", "stream"),
        ("POST", "cancel"),
        ("POST", "retry"),
    ],
)
@pytest.mark.parametrize("job_id", ["550e8400-e29b-41d4-a716-446655440000-u1", "%00x"])
def test_an_unknown_job_in_runpods_words(empty: ApiRig, method: str, path: str, job_id: str) -> None:
    answer = empty.session.request(method, f"{empty.url}{EP}/{path}/{job_id}", timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (404, "job not found")


def test_keys_with_and_without_bearer(tmp_path: Path) -> None:
    with api_rig(tmp_path, guard=Guard(["sk-one"])) as api:
        for header in ("Bearer sk-one", "sk-one"):
            assert api.get(f"{EP}/health", headers={"Authorization": header}).status_code == 200
        refused = api.get(f"{EP}/health", headers={"Authorization": "Bearer sk-two"})
        assert (refused.status_code, refused.json()["error"]) == (401, "Unauthorized")


def test_a_native_job_is_told_in_runpods_words_too(api: ApiRig) -> None:
    job_id = api.ended(api.run())
    assert told(api, job_id)["status"] == "COMPLETED"
    assert api.get(f"/status/{job_id}").json()["status"] == "completed"


def test_a_webhook_says_what_status_says(api: ApiRig) -> None:
    job_id = api.ended(sent(api))
    job = api.jobs.service.get(job_id)  # type: ignore[arg-type]
    delivery = Delivery("msg_1", job.id, Status.SUCCEEDED, "https://example.com", 0.0, 0.0)
    body, kind = webhook_body(delivery, job, api.jobs.service.result(job))
    assert (json.loads(body), kind) == (told(api, job_id), "application/json")


def test_a_webhook_about_an_end_that_was_undone(api: ApiRig) -> None:
    job_id = api.ended(sent(api, "fail"))
    api.hold()
    api.post(f"{EP}/retry/{job_id}")
    job = api.jobs.service.get(job_id)  # type: ignore[arg-type]
    delivery = Delivery("msg_1", job.id, Status.FAILED, "https://example.com", 0.0, 0.0)
    assert json.loads(webhook_body(delivery, job, None)[0]) == {"id": job_id, "status": "FAILED"}


def test_results_that_are_gone_are_not_called_completed(api: ApiRig) -> None:
    job_id = api.ended(sent(api))
    api.jobs.spool.forget(job_id)  # type: ignore[arg-type]
    answer = api.get(f"{EP}/status/{job_id}")
    assert (answer.status_code, answer.json()["code"]) == (502, "OUTPUT_UNAVAILABLE")


def test_many_callers_wait_at_once(api: ApiRig) -> None:
    answers: list[Any] = []

    def call() -> None:
        body = {"input": {"workflow": workflow()}}
        answers.append(requests.post(f"{api.url}{EP}/runsync", json=body, timeout=30).json())

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer["status"] for answer in answers] == ["COMPLETED"] * 50
    assert len({answer["id"] for answer in answers}) == 50
