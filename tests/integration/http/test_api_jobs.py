"""/api/jobs and the metrics beside it, over sockets: words, refusals, the picture itself or JSON."""

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from support.api_rig import PIXELS, PIXELS_BASE64, ApiRig, api_rig
from support.job_rig import JobRig
from support.job_stores import T0
from support.openapi_examples import undeclared_parameters, without_example
from support.waiting import wait_for

from api.ids import InstanceName, JobId
from api.jobs.durations import Durations
from api.jobs.estimate import Estimates
from api.jobs.job import ACTIVE, Job, Status
from api.jobs.placement import LOCAL
from api.jobs.statistics import Statistics
from api.jobs.store import JobFilter
from api.routes import api_jobs, metrics_json
from api.routes.auth import Guard
from api.routes.links import OutputLinks
from api.routes.metrics_json import ProcessorFacts
from api.routes.probes import Probes
from api.stores.metrics_file import FileLedger

INSTANCE = {"name": "comfy:8188", "status": "healthy"}
STATUS = [
    *("job_id", "status", "type", "processing_time_seconds", "estimated_remaining_time_seconds"),
    *("progress_percentage", "comfyui_instance", "queue_position", "created_at", "started_at", "completed_at"),
    *("error", "code"),
]


def routers(rig: JobRig, links: OutputLinks) -> list[APIRouter]:
    folder = rig.spool.root
    statistics = Statistics(FileLedger(folder / "metrics.json"), Durations(), rig.clock, 3600)
    rig.service.on_end(statistics.note)
    estimates = Estimates(
        statistics.durations,
        running=lambda: rig.service.list(JobFilter(ACTIVE)).jobs,
        upcoming=rig.service.upcoming,
        live=dict,
        slots=lambda: {LOCAL: {InstanceName("comfy:8188"): ""}},
        clock=rig.clock,
    )
    facts = ProcessorFacts(is_running=True, concurrency=1, poll_s=1.0, instances=(INSTANCE,), storage={})
    return [
        metrics_json.router(
            rig.service, statistics, lambda: facts, version="1", uptime=Probes("1").uptime, clock=rig.clock
        ),
        api_jobs.router(rig.service, estimates, links, keep_hours=24, clock=rig.clock),
    ]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiRig]:
    with api_rig(tmp_path, more=routers) as rig:
        yield rig


def job_of(api: ApiRig, job_id: str) -> Job:
    return api.jobs.service.get(JobId(job_id))


def counted(api: ApiRig, jobs: int) -> None:
    """Until so many ended jobs are counted: that is a moment after the store knows of their end."""

    def count() -> int:
        told = api.get("/api/metrics").json()["all_time"]
        return int(told["completed"] + told["failed"] + told["cancelled"])

    wait_for(lambda: count() == jobs, f"{jobs} jobs to be counted")


def test_a_waiting_a_running_and_a_completed_job(api: ApiRig) -> None:
    api.hold()
    ahead, job_id = api.run("wait"), api.run("wait")
    told = api.get(f"/api/jobs/{job_id}/status").json()
    assert list(told) == STATUS
    assert (told["status"], told["type"], told["queue_position"]) == ("pending", "workflow", 1)
    assert (told["processing_time_seconds"], told["progress_percentage"]) == (0, 0)
    assert (told["estimated_remaining_time_seconds"], told["comfyui_instance"]) == (None, None)
    assert datetime.fromisoformat(told["created_at"]).timestamp() == T0
    api.let_go()
    wait_for(lambda: api.get(f"/api/jobs/{ahead}/status").json()["status"] == "processing", "the start")
    api.jobs.clock.tick(15)
    told = api.get(f"/api/jobs/{ahead}/status").json()
    assert (told["processing_time_seconds"], told["queue_position"]) == (15, None)
    api.core.released.set()
    told = api.get(f"/api/jobs/{api.ended(ahead)}/status").json()
    assert (told["status"], told["progress_percentage"]) == ("completed", 100)
    assert (told["processing_time_seconds"], told["estimated_remaining_time_seconds"]) == (15, 0)


def test_a_failed_and_a_cancelled_job(api: ApiRig) -> None:
    told = api.get(f"/api/jobs/{api.ended(api.run('fail'))}/status").json()
    assert (told["status"], told["error"], told["code"]) == ("failed", "Node 1 (fail): boom", "EXECUTION_FAILED")
    assert told["progress_percentage"] < 100
    api.hold()
    job_id = api.run()
    api.post(f"/jobs/{job_id}/cancel")
    told = api.get(f"/api/jobs/{job_id}/status").json()
    assert (told["status"], told["processing_time_seconds"]) == ("cancelled", 0)


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "image/*",
        "image/png",
        "image/avif,image/webp,*/*;q=0.8",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "application/json;q=0.5,image/png",
    ],
)
def test_the_picture_itself(api: ApiRig, accept: str | None) -> None:
    job_id = api.ended(api.run())
    answer = api.get(f"/api/jobs/{job_id}/result", headers={"Accept": accept})
    assert (answer.status_code, answer.content) == (200, PIXELS)
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (
        api.get(f"/api/jobs/{job_id}/result", headers={"Accept": accept, "Range": "bytes=1-3"}).content == PIXELS[1:4]
    )
    tag = {"Accept": accept, "If-None-Match": answer.headers["ETag"]}
    assert api.get(f"/api/jobs/{job_id}/result", headers=tag).status_code == 304


@pytest.mark.parametrize(
    "accept",
    ["application/json", "application/json, text/plain, */*", "application/*", "image/png;q=0.1,application/json"],
)
def test_json_for_those_who_prefer_it(api: ApiRig, accept: str) -> None:
    job_id = api.ended(api.run())
    body = api.get(f"/api/jobs/{job_id}/result", headers={"Accept": accept}).json()
    assert (body["job_id"], body["status"], body["type"]) == (job_id, "completed", "workflow")
    assert body["result"]["images"][0]["data"] == PIXELS_BASE64


def test_json_with_links(api: ApiRig) -> None:
    job_id = api.ended(api.run())
    (image,) = api.get(f"/api/jobs/{job_id}/result?outputs=url").json()["result"]["images"]
    assert (image["type"], image["data"]) == ("url", f"{api.url}/output/{job_id}/0/a%20b.png")


def test_of_several_pictures_one_is_asked_for(api: ApiRig) -> None:
    api.core.copies = 2
    job_id = api.ended(api.run())
    assert len(api.get(f"/api/jobs/{job_id}/result").json()["result"]["images"]) == 2
    for query, headers in (("", {"Accept": "image/*"}), ("?index=1", {})):
        assert api.get(f"/api/jobs/{job_id}/result{query}", headers=headers).content == PIXELS
    missing = api.get(f"/api/jobs/{job_id}/result?index=2")
    assert (missing.status_code, missing.json()["code"]) == (404, "JOB_NOT_FOUND")


def test_a_result_that_is_not_there_yet(api: ApiRig) -> None:
    api.hold()
    answer = api.get(f"/api/jobs/{api.run()}/result")
    assert (answer.status_code, answer.json()["code"]) == (409, "JOB_NOT_READY")
    assert "pending" in answer.json()["message"] and "/status" in answer.json()["message"]
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("what", "status", "code", "message"),
    [
        ("fail", 500, "EXECUTION_FAILED", "Node 1 (fail): boom"),
        ("time out", 504, "TIMED_OUT", "The job took longer than 1 s."),
    ],
)
def test_a_failed_job_answers_with_its_error(api: ApiRig, what: str, status: int, code: str, message: str) -> None:
    answer = api.get(f"/api/jobs/{api.ended(api.run(what))}/result")
    body = answer.json()
    assert (answer.status_code, body["code"], body["message"]) == (status, code, message)
    if what == "fail":
        assert body["details"][0]["node_id"] == "1"


def test_a_cancelled_job_has_no_result(api: ApiRig) -> None:
    api.hold()
    job_id = api.run()
    api.post(f"/jobs/{job_id}/cancel")
    answer = api.get(f"/api/jobs/{job_id}/result")
    assert (answer.status_code, answer.json()["code"]) == (409, "CANCELLED")


def test_everything_about_a_job(api: ApiRig) -> None:
    job_id = api.ended(api.run(labels={"project": "demo"}, priority="high"))
    info = api.get(f"/api/jobs/{job_id}/info").json()
    assert list(info)[: len(STATUS)] == STATUS
    assert (info["priority"], info["labels"], info["attempts"]) == ("high", {"project": "demo"}, 1)
    (output,) = info["outputs"]
    assert (output["filename"], output["size_bytes"]) == ("a b.png", len(PIXELS))
    assert output["url"] == f"{api.url}/output/{job_id}/0/a%20b.png"
    failed = api.get(f"/api/jobs/{api.ended(api.run('fail'))}/info").json()
    assert (failed["retryable"], failed["details"][0]["node_id"], failed["outputs"]) == (False, "1", [])


@pytest.mark.parametrize("path", ["status", "result", "info"])
def test_unknown_jobs(api: ApiRig, path: str) -> None:
    for job_id in ("00000000-0000-4000-8000-000000000000", "..", "a b"):
        answer = api.get(f"/api/jobs/{job_id}/{path}")
        assert answer.status_code == 404 and answer.json()["statusCode"] == 404
    assert api.delete("/api/jobs/nobody").status_code == 404


def test_lists_by_state_kind_and_time(api: ApiRig) -> None:
    done = api.ended(api.run())
    api.jobs.clock.tick(100)
    failed = api.ended(api.run("fail"))
    api.hold()
    named = api.jobs.submit(workflow_name="upscale-image").id
    waiting = api.run()

    def listed(query: str) -> set[str]:
        body = api.get(f"/api/jobs/list?{query}").json()
        assert body["count"] == len(body["jobs"])
        return {job["job_id"] for job in body["jobs"]}

    assert listed("") == {done, failed, named, waiting}
    assert listed("status=completed") == {done}
    assert listed("status=failed&status=pending") == {failed, named, waiting}
    assert listed("status=processing") == listed("status=cancelled") == set()
    assert listed("type=upscale-image") == {named}
    assert listed("type=workflow") == {done, failed, waiting}
    assert listed("type=workflow&status=pending&status=failed") == {failed, waiting}
    assert listed(f"since={T0 + 50}") == {failed, named, waiting}
    assert listed(f"until={T0 + 50}") == {done}
    assert api.get("/api/jobs/list?status=running").status_code == 422


def test_lists_page_by_page(api: ApiRig) -> None:
    ids = []
    for _ in range(5):
        ids.append(api.ended(api.run()))
        api.jobs.clock.tick()
    seen, cursor = [], ""
    while True:
        body = api.get(f"/api/jobs/list?limit=2{cursor}").json()
        seen += [job["job_id"] for job in body["jobs"]]
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
    assert seen == ids[::-1]
    assert api.get("/api/jobs/list?cursor=nonsense").status_code == 400


def test_only_ended_jobs_are_deleted(api: ApiRig) -> None:
    api.hold()
    waiting = api.run()
    refused = api.delete(f"/api/jobs/{waiting}")
    assert (refused.status_code, refused.json()["code"]) == (409, "JOB_NOT_READY")
    assert "cancel it first" in refused.json()["message"]
    api.let_go()
    assert api.delete(f"/api/jobs/{api.ended(waiting)}").json()["job_id"] == waiting
    assert api.get(f"/api/jobs/{waiting}/status").status_code == 404


def test_cleanup_takes_what_is_old_enough(api: ApiRig) -> None:
    old = api.ended(api.run())
    api.jobs.clock.tick(25 * 3600)
    young = api.ended(api.run())
    assert api.post("/api/jobs/cleanup").json()["removed"] == 1
    assert [api.get(f"/api/jobs/{job_id}/status").status_code for job_id in (old, young)] == [404, 200]
    body = api.post("/api/jobs/cleanup?max_age_hours=0").json()
    assert (body["removed"], body["max_age_hours"]) == (0, 0)  # ended this very moment


def test_numbers_of_jobs_and_of_the_processor(api: ApiRig) -> None:
    for what in ("picture", "fail", "time out"):
        api.ended(api.run(what))
    running = api.run("wait")
    wait_for(lambda: job_of(api, running).status is Status.RUNNING, "the start")
    api.hold()
    api.run()
    counted(api, 3)
    numbers = api.get("/api/jobs/stats").json()
    expected = {"total": 5, "pending": 1, "processing": 1, "completed": 1, "failed": 2, "cancelled": 0}
    assert {key: numbers[key] for key in expected} == expected
    assert numbers["last_hour"]["success_rate"] == pytest.approx(1 / 3, abs=0.001)
    processor = api.get("/api/jobs/processor/stats").json()
    assert (processor["processor_running"], processor["active_jobs"], processor["pending_jobs"]) == (True, 1, 1)
    assert [job["job_id"] for job in processor["jobs"]] == [running]
    assert processor["comfyui_instances"] == {"total": 1, "healthy": 1, "instances": [INSTANCE]}


def test_metrics(api: ApiRig) -> None:
    for what in ("picture", "picture", "fail"):
        api.ended(api.run(what))
    api.hold()
    api.post(f"/jobs/{api.run()}/cancel")
    counted(api, 4)
    body = api.get("/api/metrics").json()
    outcomes = {"completed": 2, "failed": 1, "cancelled": 1, "success_rate": 0.6667}
    assert {key: body["all_time"][key] for key in outcomes} == outcomes
    assert {key: body["window"][key] for key in outcomes} == outcomes
    assert body["errors"] == {"error_rate": 0.3333, "by_category": {"execution": 1}}
    assert body["hourly"][0]["completed"] == 2
    assert [instance["name"] for instance in body["instances"]] == ["comfy:8188"]
    assert body["performance"]["total"]["count"] == 2
    basic = api.get("/status/metrics").json()
    assert basic["jobs"]["total"] == 4 and basic["success_rate"] == 0.6667
    performance = api.get("/api/metrics/performance?hours=1").json()
    assert performance["by_workflow"]["workflow"]["completed"] == 2
    assert set(performance["total"]) == {"count", "mean", "p50", "p95", "p99", "max"}
    assert api.get("/api/metrics/performance?hours=0").status_code == 422


def test_errors_are_told_by_code_and_category_with_the_newest_jobs(api: ApiRig) -> None:
    ids = [api.ended(api.run(what)) for what in ("picture", "fail", "fail", "time out")]
    counted(api, 4)
    body = api.get("/api/metrics/errors?recent=2").json()
    assert (body["failed"], body["error_rate"]) == (3, 0.75)
    by_code = {each["code"]: (each["category"], each["count"], each["share"]) for each in body["by_code"]}
    assert by_code == {"EXECUTION_FAILED": ("execution", 2, 0.6667), "TIMED_OUT": ("timeout", 1, 0.3333)}
    assert len(body["recent"]) == 2 and {each["job_id"] for each in body["recent"]} <= set(ids)
    assert api.get("/api/metrics/errors?recent=0").json()["recent"] == []


def test_a_job_is_counted_once_however_often_it_is_cancelled(api: ApiRig) -> None:
    job_id = api.run("wait")
    wait_for(lambda: api.core.jobs, "the start")
    api.hold()
    waiting = api.run()
    threads = [
        threading.Thread(target=api.jobs.service.cancel, args=(JobId(each),))
        for each in (job_id, waiting)
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    api.ended(job_id)
    for each in (job_id, waiting):
        api.jobs.service.cancel(JobId(each))
    counted(api, 2)
    assert api.get("/api/metrics").json()["all_time"]["cancelled"] == 2


def test_numbers_and_cleanup_are_the_operators(tmp_path: Path) -> None:
    paths = (*api_jobs.OPERATOR_PATHS, *metrics_json.OPERATOR_PATHS)
    guard = Guard(["key"], "admin", operator_paths=paths)
    with api_rig(tmp_path, guard=guard, key="key", more=routers) as api:
        job_id = api.ended(api.run())
        assert api.get(f"/api/jobs/{job_id}/status").status_code == 200
        for path in ("/api/metrics", "/api/metrics/errors", "/api/jobs/stats", "/api/jobs/processor/stats"):
            assert api.get(path).status_code == 403
            assert api.get(path, headers={"Authorization": "Bearer admin"}).status_code == 200
        assert api.post("/api/jobs/cleanup").status_code == 403


def test_the_document_describes_what_is_answered(api: ApiRig) -> None:
    document: dict[str, Any] = api.get("/openapi.json").json()
    ours = [path for path in document["paths"] if path.startswith(("/api/", "/status"))]
    assert {"/api/jobs/{job_id}/result", "/api/metrics/performance", "/status", "/status/metrics"} <= set(ours)
    assert without_example(document) == [] and undeclared_parameters(document) == []
