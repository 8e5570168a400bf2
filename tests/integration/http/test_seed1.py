"""The worker's own job API: fields, words, numbers and refusals, over sockets."""

import base64
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.api_rig import PIXELS_BASE64, ApiRig, api_rig, workflow
from support.waiting import wait_for

from api.jobs.job import Priority, Status
from api.routes.auth import Guard

FIELDS = ["job_id", "status", "result", "error", "created_at", "started_at", "completed_at", "progress"]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiRig]:
    with api_rig(tmp_path) as rig:
        yield rig


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiRig]:
    """One without jobs, for requests that are refused."""
    with api_rig(tmp_path_factory.mktemp("empty")) as rig:
        yield rig


def test_run_answers_the_id_and_that_it_is_pending(api: ApiRig) -> None:
    answer = api.post("/run", json={"workflow": workflow(), "images": []})
    job_id = answer.json()["job_id"]
    assert (answer.status_code, answer.json()) == (202, {"job_id": job_id, "status": "pending"})
    assert answer.headers["Location"] == f"/status/{job_id}"


def test_the_handler_gets_the_fields_and_the_queue_keeps_its_own(api: ApiRig) -> None:
    job_id = api.run(overrides={"1.x": 2}, output_format="webp", priority="High", ttl_s=60, labels={"project": "demo"})
    job = api.jobs.service.get(api.ended(job_id))  # type: ignore[arg-type]
    assert (job.priority, job.labels, job.dialect) == (Priority.HIGH, {"project": "demo"}, "native")
    given = api.core.jobs[0]["input"]
    assert given == {"workflow": workflow(), "overrides": {"1.x": 2}, "output_format": "webp"}


def test_a_completed_job_is_told_as_promised(api: ApiRig) -> None:
    job_id = api.ended(api.run())
    body = api.get(f"/status/{job_id}").json()
    job = api.jobs.service.get(job_id)  # type: ignore[arg-type]
    assert list(body) == FIELDS
    assert (body["job_id"], body["status"], body["error"], body["progress"]) == (job_id, "completed", None, None)
    (image,) = body["result"]["images"]
    assert (image["filename"], image["type"], image["data"]) == ("a b.png", "base64", PIXELS_BASE64)
    assert (body["created_at"], body["started_at"]) == (job.created_at, job.started_at)
    assert body["completed_at"] == job.finished_at


def test_a_waiting_and_a_running_job_have_no_result_yet(api: ApiRig) -> None:
    api.hold()
    job_id = api.run("wait")
    body = api.get(f"/status/{job_id}").json()
    assert list(body) == FIELDS
    assert (body["status"], body["result"], body["error"], body["started_at"]) == ("pending", None, None, None)
    api.let_go()
    wait_for(lambda: api.get(f"/status/{job_id}").json()["status"] == "running", "the start")
    body = api.get(f"/status/{job_id}").json()
    assert body["result"] is None and body["completed_at"] is None and body["started_at"] is not None
    assert body["progress"] == {"percent": 0.0, "node_id": None, "step": None, "steps": None}


@pytest.mark.parametrize(
    ("what", "error", "code"),
    [("fail", "Node 1 (fail): boom", "EXECUTION_FAILED"), ("time out", "The job took longer than 1 s.", "TIMED_OUT")],
)
def test_a_failed_job_says_why(api: ApiRig, what: str, error: str, code: str) -> None:
    body = api.get(f"/status/{api.ended(api.run(what))}").json()
    assert (body["status"], body["error"], body["code"], body["result"]) == ("failed", error, code, None)
    assert body["completed_at"] is not None


def test_a_cancelled_job_has_failed_with_the_error_cancelled(api: ApiRig) -> None:
    api.hold()
    job_id = api.run()
    told = api.post(f"/jobs/{job_id}/cancel").json()
    assert (told["job_id"], told["status"], told["error"], told["code"]) == (job_id, "failed", "cancelled", "CANCELLED")
    body = api.get(f"/status/{job_id}").json()
    assert (body["status"], body["error"], body["code"]) == ("failed", "cancelled", "CANCELLED")


def test_a_running_job_is_cancelled_too(api: ApiRig) -> None:
    job_id = api.run("wait")
    wait_for(lambda: api.core.jobs, "the start")
    assert api.post(f"/jobs/{job_id}/cancel").json()["status"] == "running"
    assert api.get(f"/status/{api.ended(job_id)}").json()["error"] == "cancelled"


@pytest.mark.parametrize("size", [0, 1, 191_999, 786_432, 2_000_000])
def test_results_of_any_size_come_whole(api: ApiRig, size: int) -> None:
    api.core.pixels = random.Random(size).randbytes(size)
    job_id = api.ended(api.run())
    for path in (f"/status/{job_id}", f"/v2/x/status/{job_id}"):
        answer = api.get(path)
        (image,) = answer.json()["result" if path.startswith("/status") else "output"]["images"]
        assert (image["type"], base64.b64decode(image["data"], validate=True)) == ("base64", api.core.pixels)
        assert answer.headers["Content-Length"] == str(len(answer.content))


def test_links_in_place_of_base64(api: ApiRig) -> None:
    job_id = api.ended(api.run())
    (image,) = api.get(f"/status/{job_id}", params={"outputs": "url"}).json()["result"]["images"]
    assert (image["type"], image["data"]) == ("url", f"{api.url}/output/{job_id}/0/a%20b.png")
    assert api.get(f"/status/{job_id}", params={"outputs": "nonsense"}).status_code == 422


def test_links_carry_a_token_when_keys_are_needed(tmp_path: Path) -> None:
    with api_rig(tmp_path, guard=Guard(["sk-one"]), key="sk-one") as api:
        job_id = api.ended(api.run())
        (image,) = api.get(f"/status/{job_id}", params={"outputs": "url"}).json()["result"]["images"]
        # Past the door without a key, and only there: this app has no outputs.
        assert requests.get(image["data"], timeout=10).status_code == 404
        assert requests.get(image["data"].partition("?")[0], timeout=10).status_code == 401


def test_numbers_of_jobs(api: ApiRig) -> None:
    for what in ("picture", "fail", "time out"):
        api.ended(api.run(what))
        api.jobs.clock.tick()
    api.hold()
    waiting = api.run()
    assert api.get("/stats").json() == {
        "total_jobs": 4,
        "pending_jobs": 1,
        "running_jobs": 0,
        "completed_jobs": 1,
        "failed_jobs": 2,
        "recent_jobs": [],
    }
    recent = api.get("/stats", params={"include_recent": "true"}).json()["recent_jobs"]
    assert [job["status"] for job in recent] == ["pending", "failed", "failed", "completed"]
    assert list(recent[0]) == ["id", "status", "created_at", "started_at", "completed_at", "error"]
    assert recent[0]["id"] == waiting


def test_cleanup_removes_ended_jobs_of_some_age(api: ApiRig) -> None:
    old = api.ended(api.run())
    api.jobs.clock.tick(25 * 3600)
    young = api.ended(api.run())
    assert api.post("/admin/cleanup").json()["removed"] == 1
    assert (api.get(f"/status/{old}").status_code, api.get(f"/status/{young}").status_code) == (404, 200)
    assert not api.jobs.spool.folder(old).exists()  # type: ignore[arg-type]
    api.jobs.clock.tick(2 * 3600)
    assert api.post("/admin/cleanup?max_age_hours=3").json()["removed"] == 0
    answer = api.post("/admin/cleanup?max_age_hours=1").json()
    assert (answer["removed"], answer["max_age_hours"], answer["message"]) == (1, 1, "1 job was removed.")


def test_stuck_jobs_are_put_in_line_again(api: ApiRig) -> None:
    job_id = api.run()
    api.ended(job_id)
    api.hold()
    stuck = api.run()
    assert api.jobs.store.claim("a worker that is gone") is not None
    assert api.post("/admin/reset-stuck").json()["reset"] == 0
    api.jobs.clock.tick(2 * 3600 + 1)
    assert api.post("/admin/reset-stuck?max_running_time_hours=3").json()["reset"] == 0
    assert api.post("/admin/reset-stuck").json() == {
        "message": "1 job was reset.",
        "reset": 1,
        "max_running_time_hours": 2,
    }
    assert api.get(f"/status/{stuck}").json()["status"] == "pending"


@pytest.mark.parametrize("path", ["/admin/job/", "/jobs/"])
def test_only_ended_jobs_are_deleted(api: ApiRig, path: str) -> None:
    api.hold()
    job_id = api.run("wait")
    refused = api.delete(path + job_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "JOB_NOT_READY")
    api.let_go()
    wait_for(lambda: api.core.jobs, "the start")
    assert api.delete(path + job_id).status_code == 409
    api.core.released.set()
    api.ended(job_id)
    assert api.delete(path + job_id).json()["job_id"] == job_id
    assert api.get(f"/status/{job_id}").status_code == 404
    assert api.delete(path + job_id).status_code == 404


def test_a_failed_job_is_run_again(api: ApiRig) -> None:
    job_id = api.ended(api.run("fail"))
    api.hold()
    told = api.post(f"/jobs/{job_id}/retry").json()
    assert (told["job_id"], told["status"], told["error"]) == (job_id, "pending", None)
    api.let_go()
    api.ended(job_id)
    assert len(api.core.jobs) == 2
    done = api.ended(api.run())
    assert api.post(f"/jobs/{done}/retry").status_code == 409


def test_jobs_are_listed_newest_first_in_pages(api: ApiRig) -> None:
    api.hold()
    ids = []
    for _ in range(5):
        ids.append(api.run())
        api.jobs.clock.tick()
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = api.get("/jobs", params=params).json()
        seen += [job["job_id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
        # What comes in between is on none of the later pages.
        api.run()
    assert seen == ids[::-1]


def test_jobs_are_listed_by_state_and_time(api: ApiRig) -> None:
    done, failed = api.ended(api.run()), api.ended(api.run("fail"))
    began = api.jobs.clock.tick(10)
    api.hold()
    waiting, cancelled = api.run(), api.run(priority="low", labels={"a": "b"})
    api.post(f"/jobs/{cancelled}/cancel")

    def listed(**params: Any) -> set[str]:
        return {job["job_id"] for job in api.get("/jobs", params=params).json()["jobs"]}

    assert listed(status="pending") == {waiting}
    assert listed(status="completed") == {done}
    assert listed(status="failed") == {failed, cancelled}
    assert listed(status="cancelled") == {cancelled}
    assert listed(status=["pending", "completed"]) == {waiting, done}
    assert listed(since=began) == {waiting, cancelled}
    assert listed(until=began) == {done, failed}
    assert listed(since="2020-01-01T00:00:00Z", until="2020-01-02T00:00:00+00:00") == set()
    assert listed(workflow="none of that name") == set()
    entry = api.get(f"/jobs/{cancelled}").json()
    assert (entry["priority"], entry["labels"], entry["attempts"]) == ("low", {"a": "b"}, 0)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/jobs?status=lost", "query.status.0"),
        ("/jobs?limit=0", "query.limit"),
        ("/jobs?limit=1001", "query.limit"),
        ("/jobs?since=yesterday", "query.since.datetime"),
        ("/jobs?until=nan", "query.until.float"),
        ("/jobs?since=inf", "query.since.float"),
        ("/jobs?cursor=abc", "query.cursor"),
        ("/jobs?cursor=W05hTiwgIngiXQ==", "query.cursor"),
        ("/stats?include_recent=perhaps", "query.include_recent"),
    ],
)
def test_questions_that_make_no_sense_are_refused(empty: ApiRig, path: str, field: str) -> None:
    answer = empty.get(path)
    assert answer.status_code in {400, 422}, answer.text
    assert field in [detail["field"] for detail in answer.json()["details"]]


@pytest.mark.parametrize("path", ["/admin/cleanup?max_age_hours=", "/admin/reset-stuck?max_running_time_hours="])
@pytest.mark.parametrize("hours", ["nan", "inf", "-1", "1e9", "soon", ""])
def test_hours_are_numbers(empty: ApiRig, path: str, hours: str) -> None:
    answer = empty.post(path + hours)
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_PARAMETERS")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "workflow"),
        ({"workflow": []}, "workflow"),
        ({"workflow": workflow(), "priority": "urgent"}, "priority"),
        ({"workflow": workflow(), "ttl_s": 0.5}, "ttl_s"),
        ({"workflow": workflow(), "ttl_s": "long"}, "ttl_s"),
        ({"workflow": workflow(), "webhook": 7}, "webhook"),
        ({"workflow": workflow(), "labels": {"a b": "c"}}, "labels"),
        ({"workflow": workflow(), "labels": {"a": "x" * 300}}, "labels"),
        ({"workflow": workflow(), "labels": {str(number): "" for number in range(17)}}, "labels"),
        ({"workflow": workflow(), "images": [{"name": "a.png"}]}, "images.0.image"),
    ],
)
def test_bodies_that_make_no_sense_are_refused(empty: ApiRig, given: dict[str, Any], field: str) -> None:
    answer = empty.post("/run", json=given)
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert (body["error"], body["statusCode"]) == ("Bad Request", 400)
    assert field in [detail["field"] for detail in body["details"]]
    assert empty.get("/stats").json()["total_jobs"] == 0


@pytest.mark.parametrize("job_id", ["550e8400-e29b-41d4-a716-446655440000", "%00", "%F0%9F%90%88", "a" * 101, "..%2e"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/status/{}"),
        ("GET", "/jobs/{}"),
        ("DELETE", "/jobs/{}"),
        ("POST", "/jobs/{}/cancel"),
        ("POST", "/jobs/{}/retry"),
        ("DELETE", "/admin/job/{}"),
    ],
)
def test_unknown_jobs_are_not_found(empty: ApiRig, method: str, path: str, job_id: str) -> None:
    answer = requests.request(method, empty.url + path.format(job_id), timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (404, "JOB_NOT_FOUND")


def test_the_root_speaks_the_language_a_job_was_sent_in(api: ApiRig) -> None:
    answer = api.post("/run", json={"input": {"workflow": workflow()}})
    body = answer.json()
    assert (answer.status_code, body) == (200, {"id": body["id"], "status": "IN_QUEUE"})
    told = api.get(f"/status/{api.ended(body['id'])}").json()
    assert (told["id"], told["status"]) == (body["id"], "COMPLETED")
    assert told["output"]["images"][0]["data"] == PIXELS_BASE64
    refused = api.post("/run", json={"input": {}}).json()
    assert refused["error"] == refused["message"] != "Bad Request"


def test_a_null_input_beside_a_workflow_is_not_runpods(api: ApiRig) -> None:
    assert "job_id" in api.post("/run", json={"workflow": workflow(), "input": None}).json()


def test_a_waiting_caller_does_not_hold_up_the_others(api: ApiRig) -> None:
    api.run("wait")
    callers = [
        threading.Thread(
            target=api.post, args=("/v2/x/runsync?wait=2000",), kwargs={"json": {"input": {"workflow": workflow()}}}
        )
        for _ in range(8)
    ]
    api.hold()
    for caller in callers:
        caller.start()
    wait_for(lambda: api.jobs.service.counts()[Status.QUEUED] == 8, "the callers to wait")
    assert api.get("/stats").elapsed.total_seconds() < 1
    api.let_go()
    api.core.released.set()
    for caller in callers:
        caller.join()
