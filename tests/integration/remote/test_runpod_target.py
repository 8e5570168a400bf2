"""Jobs on a RunPod endpoint: the worker's own HTTP mode as a process, behind a door that misbehaves on demand."""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from support import sample_jobs
from support.remote_front import RemoteFront
from support.remote_rig import KEY, Elsewhere, elsewhere_rig
from support.sample_jobs import node
from support.waiting import wait_for

from api.errors import StoreUnavailable, WorkerStopping
from api.ids import InstanceName, JobId, PromptId
from api.jobs.cancel import CancelToken
from api.jobs.events import (
    JobEvent,
    NodeStarted,
    OutputProduced,
    ProgressMade,
    PromptAssigned,
    PromptStarted,
    StageFinished,
    StepReached,
)
from api.jobs.ports import Attempt, Host, InputFile

RUN, STATUS, CANCEL = "POST /v2/worker/run", "GET /v2/worker/status/", "POST /v2/worker/cancel/"
PICTURE = sample_jobs.png((200, 30, 60))
BROKEN = {
    "1": node("EmptyImage", width=16, height=16, batch_size=1, color=1),
    "2": node("SaveImage", images=["1", 0], filename_prefix="made/before"),
    "3": node("StandinFail", image=["1", 0], message="It broke."),
    "4": node("SaveImage", images=["3", 0], filename_prefix="never"),
}
TEXTS = {
    "1": node("PrimitiveString", value="seven"),
    "2": node("PreviewAny", source=["1", 0]),
    "3": node("EmptyImage", width=16, height=16, batch_size=3, color=7),
    "4": node("SaveImage", images=["3", 0], filename_prefix="deep/er/pic"),
}


class Shelf:
    """Shares files at the front's own address."""

    def __init__(self, front: RemoteFront) -> None:
        self._front = front

    def put(self, job_id: JobId, file: InputFile) -> str:
        self._front.files[self._place(job_id, file)] = file.path.read_bytes()
        return self._front.url + self._place(job_id, file)

    def remove(self, job_id: JobId, files: Sequence[InputFile]) -> None:
        for file in files:
            self._front.files.pop(self._place(job_id, file), None)

    def _place(self, job_id: JobId, file: InputFile) -> str:
        return f"/shared/{job_id}/{file.sha256}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    with elsewhere_rig(tmp_path_factory.mktemp("remote")) as rig:
        yield rig


@pytest.fixture
def elsewhere(whole: Elsewhere) -> Iterator[Elsewhere]:
    whole.front.behave()
    yield whole
    whole.front.behave()
    whole.standin.clear_faults()


@pytest.mark.parametrize(
    ("workflow", "options"),
    [
        pytest.param(sample_jobs.inverted(), {"images": {"input.png": PICTURE}}, id="with an input"),
        pytest.param(TEXTS, {}, id="texts, several files, subfolders"),
        pytest.param(BROKEN, {}, id="a node fails after another has saved"),
        pytest.param({"1": node("NoSuchNode", x=1)}, {}, id="refused by ComfyUI"),
        pytest.param(sample_jobs.flat(), {"output_format": "webp", "metadata": "strip"}, id="converted here"),
    ],
)
def test_the_result_is_that_of_the_local_pool(elsewhere: Elsewhere, workflow: Any, options: Any) -> None:
    # Forced, so that neither has anything from the cache of the ComfyUI they share.
    here = elsewhere.local(workflow, force=True, **options)
    there = elsewhere.run(workflow, force=True, **options)
    assert there == here
    assert len(elsewhere.front.seen(RUN)) == 1


def test_it_tells_what_the_endpoint_tells(elsewhere: Elsewhere) -> None:
    steps = [
        {"id": "r-1", "status": "IN_QUEUE"},
        {"id": "r-1", "status": "IN_PROGRESS", "output": {"percent": 40.0, "node_id": "1", "step": 2, "steps": 4}},
        {"id": "r-1", "status": "IN_PROGRESS", "output": {"percent": 30.0, "node_id": "gone", "step": None}},
        {"id": "r-1", "status": "COMPLETED", "executionTime": 20, "output": {"images": []}},
    ]
    elsewhere.front.will(RUN, content={"id": "r-1", "status": "IN_QUEUE"})
    for step in steps:
        elsewhere.front.will(STATUS, content=step)
    assert elsewhere.run(sample_jobs.flat()) == {"status": "success_no_images", "images": []}
    assert elsewhere.told(PromptAssigned) == [PromptAssigned(PromptId("r-1"), InstanceName("gpu-farm"))]
    assert len(elsewhere.told(PromptStarted)) == 1
    assert elsewhere.told(NodeStarted) == [NodeStarted("1", "EmptyImage", "")]
    assert elsewhere.told(StepReached) == [StepReached("1", 2, 4)]
    assert [event.percent for event in elsewhere.told(ProgressMade)] == [40.0, 100.0]
    stages = {event.stage: event.seconds for event in elsewhere.told(StageFinished)}
    assert {"upload", "wait", "execute", "download"} <= set(stages)
    assert stages["execute"] == 0.02


def test_what_passes_is_waited_for_and_nothing_runs_twice(elsewhere: Elsewhere) -> None:
    before = elsewhere.jobs_there()
    front = elsewhere.front
    front.will(RUN, status=429, headers={"Retry-After": "0"})
    front.will(RUN, drop="after")
    front.will(STATUS, status=502, headers={"Retry-After": "0"})
    front.will(STATUS, drop="before")
    result = elsewhere.run(sample_jobs.flat(), target=elsewhere.bare(patience_s=20))
    assert result["images"][0]["filename"] == "flat_00001_.png"
    submits = front.seen(RUN)
    assert len(submits) == 3
    assert len({submit.headers["Idempotency-Key"] for submit in submits}) == 1
    assert elsewhere.jobs_there() == before + 1


def test_an_endpoint_that_is_away_is_no_end_of_the_job(elsewhere: Elsewhere) -> None:
    elsewhere.front.will(RUN, times=None, drop="before")
    result = elsewhere.run(sample_jobs.flat(), target=elsewhere.bare(patience_s=0.3))
    assert (result["code"], result["retryable"]) == ("COMFY_UNREACHABLE", True)
    assert "gpu-farm" in result["error"]


def test_a_full_endpoint_is_left_alone_for_as_long_as_it_asks(elsewhere: Elsewhere) -> None:
    remote = elsewhere.target(patience_s=0.3)
    remote.start()
    try:
        seat = wait_for(lambda: remote.capacity.take(0.1), "a seat")
        elsewhere.front.will(RUN, times=None, status=429, headers={"Retry-After": "120"}, content={"error": "full"})
        result = elsewhere.run(sample_jobs.flat(), target=remote.target)
        seat.leave()
        assert result["code"] == "COMFY_BUSY"
        assert len(elsewhere.front.seen(RUN)) == 1
        assert remote.capacity.take(0.0) is None
        assert remote.facts()["status"] == "healthy"
    finally:
        remote.close()


def test_a_job_that_is_gone_is_lost(elsewhere: Elsewhere) -> None:
    elsewhere.front.will(STATUS, status=404, content={"error": "job not found"})
    result = elsewhere.run(sample_jobs.flat())
    assert (result["code"], result["retryable"]) == ("PROMPT_LOST", True)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"status": "FAILED", "error": "ComfyUI is gone.", "output": {"code": "COMFY_DIED"}}, "COMFY_DIED"),
        ({"status": "FAILED", "error": '{"error_type": "x", "error_message": "boom"}'}, "EXECUTION_FAILED"),
        ({"status": "COMPLETED", "output": {"error": "boom", "details": ["one", "two"]}}, "EXECUTION_FAILED"),
        ({"status": "CANCELLED"}, "INTERRUPTED"),
        ({"status": "TIMED_OUT", "error": "job timed out"}, "TIMED_OUT"),
        ({"status": "COMPLETED"}, "OUTPUT_UNAVAILABLE"),
        ({"status": "COMPLETED", "output": "text"}, "COMFY_PROTOCOL_ERROR"),
        (
            {
                "status": "COMPLETED",
                "output": {"images": [{"filename": "a.png", "type": "file", "data": "/vol/a.png"}]},
            },
            "OUTPUT_UNAVAILABLE",
        ),
    ],
)
def test_how_it_can_end_elsewhere(elsewhere: Elsewhere, status: dict[str, Any], code: str) -> None:
    elsewhere.front.will(RUN, content={"id": "r-1", "status": "IN_QUEUE"})
    elsewhere.front.will(STATUS, times=None, content={"id": "r-1", **status})
    result = elsewhere.run(sample_jobs.flat())
    assert result["code"] == code, result
    assert "error_message" not in result["error"]


def test_a_request_the_endpoint_refuses_is_the_jobs_own_failure(elsewhere: Elsewhere) -> None:
    refusal = {
        "error": "The queue takes no such thing.",
        "code": "INVALID_WORKFLOW",
        "details": [{"field": "workflow"}],
    }
    elsewhere.front.will(RUN, status=400, content=refusal)
    result = elsewhere.run(sample_jobs.flat())
    assert (result["code"], result["error"]) == ("INVALID_WORKFLOW", refusal["error"])
    assert result["details"] == refusal["details"]


def test_a_cancelled_job_is_cancelled_there_too(elsewhere: Elsewhere) -> None:
    token = CancelToken()
    ids: list[str] = []

    def emit(event: JobEvent) -> None:
        if isinstance(event, PromptAssigned):
            ids.append(event.prompt_id)
        elif isinstance(event, PromptStarted):
            token.cancel()

    result = elsewhere.run(sample_jobs.slow(60), emit=emit, cancel=token)
    assert result["code"] == "CANCELLED"
    wait_for(lambda: elsewhere.state(ids[0]) == "CANCELLED", "the end of the job there")


def test_a_job_nobody_will_know_of_is_cancelled(elsewhere: Elsewhere) -> None:
    ids: list[str] = []

    def emit(event: JobEvent) -> None:
        if isinstance(event, PromptAssigned):
            ids.append(event.prompt_id)
            raise WorkerStopping("Another worker has the job.")

    assert elsewhere.run(sample_jobs.slow(60), emit=emit)["code"] == "WORKER_STOPPING"
    wait_for(lambda: elsewhere.state(ids[0]) == "CANCELLED", "the end of the job there")


def test_a_job_that_another_worker_follows_goes_on(elsewhere: Elsewhere) -> None:
    token = CancelToken()

    def emit(event: JobEvent) -> None:
        if isinstance(event, PromptStarted):
            token.cancel(WorkerStopping("Another worker has taken the job over."))

    elsewhere.front.will(RUN, content={"id": "r-1", "status": "IN_QUEUE"})
    elsewhere.front.will(STATUS, times=None, content={"id": "r-1", "status": "IN_PROGRESS"})
    assert elsewhere.run(sample_jobs.flat(), emit=emit, cancel=token)["code"] == "WORKER_STOPPING"
    assert elsewhere.front.seen(CANCEL) == []


def test_the_limit_of_the_job_holds_there(elsewhere: Elsewhere) -> None:
    result = elsewhere.run(sample_jobs.slow(60), timeout_s=0.4)
    here = elsewhere.local(sample_jobs.slow(60), timeout_s=0.4)
    assert result["code"] == "TIMED_OUT"
    assert result["error"] == here["error"]
    sent = elsewhere.front.seen(RUN)[0].json
    assert sent["policy"] == {"executionTimeout": 5000}
    assert sent["input"]["metadata"] == "keep", "what becomes of it is decided here"


def test_an_endpoint_that_keeps_no_limit_is_told_to_stop(elsewhere: Elsewhere) -> None:
    elsewhere.front.will(RUN, content={"id": "r-1", "status": "IN_QUEUE"})
    elsewhere.front.will(STATUS, times=None, content={"id": "r-1", "status": "IN_PROGRESS"})
    elsewhere.front.will(CANCEL, content={"id": "r-1", "status": "CANCELLED"})
    result = elsewhere.run(sample_jobs.flat(), target=elsewhere.bare(overtime_s=0.1), timeout_s=0.1)
    assert result["code"] == "TIMED_OUT"
    assert len(elsewhere.front.seen(CANCEL)) == 1


def test_a_large_input_goes_by_url_or_not_at_all(elsewhere: Elsewhere) -> None:
    large, small = sample_jobs.noise_png(100), PICTURE
    images = {"input.png": large, "small.png": small}
    refused = elsewhere.run(sample_jobs.inverted(), images=images, target=elsewhere.bare(body_bytes=20_000))
    assert refused["code"] == "INPUT_TOO_LARGE"
    assert "BUCKET_ENDPOINT_URL" in refused["error"]
    assert elsewhere.front.seen() == []

    target = elsewhere.bare(body_bytes=20_000, share=Shelf(elsewhere.front))
    result = elsewhere.run(sample_jobs.inverted(), images=images, target=target, force=True)
    assert result == elsewhere.local(sample_jobs.inverted(), images=images, force=True)
    sent = {image["name"]: image["image"] for image in elsewhere.front.seen(RUN)[0].json["input"]["images"]}
    assert re.fullmatch(rf"{elsewhere.front.url}/shared/.+/{hashlib.sha256(large).hexdigest()}", sent["input.png"])
    assert not sent["small.png"].startswith("http")
    # Nobody needs it any more.
    assert elsewhere.front.files == {}


def test_a_shared_input_lies_there_until_the_job_has_ended(elsewhere: Elsewhere) -> None:
    target = elsewhere.bare(body_bytes=20_000, share=Shelf(elsewhere.front))
    given: dict[str, Any] = {"images": {"input.png": sample_jobs.noise_png(100)}, "target": target, "force": True}
    # Away in the midst of it: the endpoint may not have read it yet, and whoever follows the job takes it away.
    elsewhere.front.will(STATUS, times=None, drop="before")
    lost = elsewhere.run(sample_jobs.inverted(), **given)
    assert (lost["code"], len(elsewhere.front.files)) == ("COMFY_UNREACHABLE", 1)
    assigned = elsewhere.told(PromptAssigned)[0]
    (place,) = elsewhere.front.files
    elsewhere.front.behave()
    host = Host(resume=Attempt(assigned.prompt_id, assigned.instance))
    handler = elsewhere.services.handler.on(target)
    job = {**sample_jobs.job(sample_jobs.inverted(), images=given["images"], force=True), "id": place.split("/")[2]}
    assert "error" not in handler(job, elsewhere.events.append, None, host=host)
    assert (elsewhere.front.seen(RUN), elsewhere.front.files) == ([], {})
    # Refused: it has not even been taken.
    elsewhere.front.will(RUN, status=400, content={"error": "no"})
    assert elsewhere.run(sample_jobs.inverted(), **given)["error"] == "no"
    assert elsewhere.front.files == {}


def test_a_workflow_that_is_too_large_is_not_sent(elsewhere: Elsewhere) -> None:
    result = elsewhere.run(sample_jobs.chain(200), target=elsewhere.bare(body_bytes=10_000))
    assert result["code"] == "INPUT_TOO_LARGE"
    assert elsewhere.front.seen() == []


def test_a_restarted_worker_follows_the_job_it_had_submitted(elsewhere: Elsewhere) -> None:
    assert "error" not in elsewhere.run(sample_jobs.flat(0x00AA11))
    (assigned,) = elsewhere.told(PromptAssigned)
    elsewhere.front.behave()
    resume = Attempt(assigned.prompt_id, InstanceName("gpu-farm"))
    result = elsewhere.run(sample_jobs.flat(0x00AA11), host=Host(resume=resume))
    assert sample_jobs.shows(result["images"][0], (0x00, 0xAA, 0x11))
    assert elsewhere.front.seen(RUN) == []
    assert elsewhere.told(PromptAssigned) == [assigned]


def test_an_earlier_job_goes_on_when_its_follower_cannot_begin(elsewhere: Elsewhere) -> None:
    def emit(event: JobEvent) -> None:
        if isinstance(event, PromptAssigned):
            raise StoreUnavailable("The database is locked.")

    elsewhere.front.will(STATUS + "r-1", times=None, content={"id": "r-1", "status": "IN_PROGRESS"})
    resume = Attempt(PromptId("r-1"), InstanceName("gpu-farm"))
    assert elsewhere.run(sample_jobs.flat(), emit=emit, host=Host(resume=resume))["code"] == "STORE_UNAVAILABLE"
    assert elsewhere.front.seen(CANCEL) == []


@pytest.mark.parametrize(
    "found",
    [
        {"status": 404},
        {"content": {"id": "r-1", "status": "CANCELLED"}},
        {"content": {"id": "r-1", "status": "FAILED", "error": "away", "output": {"code": "COMFY_UNREACHABLE"}}},
    ],
)
def test_an_earlier_job_that_came_to_nothing_is_run_again(elsewhere: Elsewhere, found: dict[str, Any]) -> None:
    elsewhere.front.will(STATUS + "r-1", times=None, **found)
    resume = Attempt(PromptId("r-1"), InstanceName("gpu-farm"))
    assert "error" not in elsewhere.run(sample_jobs.flat(), host=Host(resume=resume))
    assert len(elsewhere.front.seen(RUN)) == 1


def test_the_job_of_another_target_is_not_followed_here(elsewhere: Elsewhere) -> None:
    resume = Attempt(PromptId("r-1"), InstanceName("another"))
    assert "error" not in elsewhere.run(sample_jobs.flat(), host=Host(resume=resume))
    assert elsewhere.front.seen(STATUS + "r-1") == []


def test_a_wrong_key_names_its_setting_and_nothing_else(elsewhere: Elsewhere, capsys: Any) -> None:
    remote = elsewhere.target(api_key="wrong-key-never-shown", settings=("REMOTE_RUNPOD_URL", "REMOTE_RUNPOD_API_KEY"))
    try:
        result = elsewhere.run(sample_jobs.flat(), target=remote.target)
        assert result["code"] == "TARGET_REFUSED"
        assert "REMOTE_RUNPOD_API_KEY" in result["error"]
        remote.start()
        reason = wait_for(lambda: remote.facts().get("reason"), "a reason")
        assert "REMOTE_RUNPOD_API_KEY" in reason
        assert remote.capacity.take(0.0) is None
    finally:
        remote.close()
    captured = capsys.readouterr()
    assert "never-shown" not in repr((result, remote, remote.facts(), captured.out, captured.err))


def test_an_endpoint_gets_no_jobs_while_it_is_not_well(elsewhere: Elsewhere) -> None:
    health = "GET /v2/worker/health"
    remote = elsewhere.target(breaker_failures=2, probe_interval_s=0.02, max_jobs=2)
    assert remote.capacity.take(0.0) is None
    remote.start()
    try:
        first = wait_for(lambda: remote.capacity.take(0.1), "a seat")
        second = remote.capacity.take(0.0)
        assert second is not None
        assert remote.capacity.take(0.0) is None
        first.leave()
        second.leave()
        elsewhere.front.will(health, times=None, status=500)
        wait_for(lambda: remote.facts()["breaker"] == "open", "an open breaker")
        assert remote.capacity.take(0.0) is None
        elsewhere.front.behave()
        wait_for(lambda: remote.facts()["status"] == "healthy", "a working endpoint")
        elsewhere.front.will(health, times=None, content={"workers": {"unhealthy": 1, "idle": 0}})
        wait_for(lambda: "No worker" in remote.facts().get("reason", ""), "a look at its workers")
        remote.hand_back_waiting()
        assert remote.capacity.take(0.0) is None
        assert remote.facts()["status"] == "draining"
    finally:
        remote.close()


def test_outputs_are_fetched_from_where_they_may_be(elsewhere: Elsewhere) -> None:
    front, content = elsewhere.front, b"made elsewhere"
    front.files["/made.bin"] = content
    with RemoteFront() as foreign:
        foreign.files["/secret"] = b"not for us"
        digest = hashlib.sha256(content).hexdigest()
        entries: list[dict[str, Any]] = [
            {"filename": "ok.bin", "type": "s3_url", "data": f"{front.url}/made.bin", "sha256": digest},
            {"filename": "changed.bin", "type": "s3_url", "data": f"{front.url}/made.bin", "sha256": "0" * 64},
            {"filename": "foreign.bin", "type": "s3_url", "data": f"{foreign.url}/secret?token=abc"},
            {"filename": "in.png", "type": "base64", "data": base64.b64encode(PICTURE).decode()},
            {"filename": "../../out.bin", "type": "base64", "data": "AAAA"},
            {"filename": "bad.bin", "type": "base64", "data": "no base64!"},
            {"filename": "missing.bin", "type": "url", "data": f"{front.url}/nothing?token=abc"},
        ]
        front.will(RUN, content={"id": "r-1", "status": "IN_QUEUE"})
        front.will(STATUS, content={"id": "r-1", "status": "COMPLETED", "output": {"files": entries}})
        front.will("GET /nothing", status=404)
        result = elsewhere.run(sample_jobs.flat(), target=elsewhere.bare())
        assert foreign.seen() == []
    assert [entry["filename"] for entry in result["files"]] == ["ok.bin"]
    assert base64.b64decode(result["images"][0]["data"]) == PICTURE
    assert result["files"][0]["sha256"] == digest
    told = " ".join(result["errors"])
    assert len(result["errors"]) == 5, result["errors"]
    assert all(word in told for word in ("changed.bin", "foreign.bin", "INPUT_URL_ALLOW_PRIVATE", "bad.bin", "404"))
    assert "token" not in told
    assert elsewhere.told(OutputProduced) == [
        OutputProduced("", "ok.bin"),
        OutputProduced("", "in.png"),
    ]


def test_an_output_over_the_limit_is_not_fetched_to_its_end(elsewhere: Elsewhere) -> None:
    elsewhere.front.files["/made.bin"] = bytes(2000)
    entry = {"filename": "big.bin", "type": "url", "data": f"{elsewhere.front.url}/made.bin"}
    elsewhere.front.will(RUN, content={"id": "r-1", "status": "IN_QUEUE"})
    elsewhere.front.will(STATUS, content={"id": "r-1", "status": "COMPLETED", "output": {"files": [entry]}})
    result = elsewhere.run(sample_jobs.flat(), target=elsewhere.bare(max_bytes=1000))
    assert result["code"] == "OUTPUT_UNAVAILABLE"
    assert "big.bin" in result["error"]


def test_the_receipt_tells_where_it_ran(elsewhere: Elsewhere) -> None:
    there = elsewhere.run(sample_jobs.flat(), receipt=True)["receipt"]
    here = elsewhere.local(sample_jobs.flat(), receipt=True)["receipt"]
    assert there["instance"] == "gpu-farm"
    assert set(there) == set(here)
    assert {**there, "instance": "", "prompt_id": "", "stages_s": {}, "job_id": ""} == {
        **here,
        "instance": "",
        "prompt_id": "",
        "stages_s": {},
        "job_id": "",
    }


def test_no_key_goes_anywhere_but_to_the_endpoint(elsewhere: Elsewhere) -> None:
    elsewhere.run(sample_jobs.flat())
    assert all(seen.headers["Authorization"] == f"Bearer {KEY}" for seen in elsewhere.front.seen("POST"))
    downloads = elsewhere.front.seen("GET /output/")
    assert downloads
    assert all("Authorization" not in seen.headers for seen in downloads)
