"""/v1/comfyui/stream: events under their promised names, the present state first, keys, and readers that are slow."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.management_rig import ManagementRig, guarded, management_rig, picture
from support.waiting import wait_for
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from api.errors import ExecutionFailed
from api.jobs.events import NodeStarted, PreviewMade, ProgressMade
from api.jobs.result import failure

PATH = "/v1/comfyui/stream"
UNKNOWN = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ManagementRig]:
    with management_rig(tmp_path) as rig:
        yield rig


def open_stream(rig: ManagementRig, path: str = PATH, **options: Any) -> ClientConnection:
    return connect(rig.server.ws_url + path, proxy=None, open_timeout=15, **options)


def event(stream: ClientConnection, timeout_s: float = 15) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stream.recv(timeout=timeout_s))
    # Epoch milliseconds, in whatever comes.
    assert isinstance(found.pop("timestamp"), int)
    return found


def until(stream: ClientConnection, kind: str) -> dict[str, Any]:
    while (found := event(stream))["type"] != kind:
        pass
    return found


def say(stream: ClientConnection, kind: str, **fields: Any) -> None:
    stream.send(json.dumps({"type": kind, **fields}))


def subscribe(stream: ClientConnection, workflow_id: str | None = None, **fields: Any) -> None:
    say(stream, "subscribe", **({"workflowId": workflow_id} if workflow_id else {}), **fields)
    assert event(stream) == {"type": "subscribed", "workflowId": workflow_id}


def test_a_workflow_from_the_line_to_its_outputs(rig: ManagementRig) -> None:
    rig.hold()
    workflow_id = rig.submit()
    with open_stream(rig) as stream:
        subscribe(stream, workflow_id)
        about = {"workflowId": workflow_id}
        assert event(stream) == {"type": "workflow:queued", **about, "queuePosition": 0}
        rig.let_go()
        started = event(stream)
        assert (started["type"], started["workflowId"]) == ("workflow:started", workflow_id)
        assert isinstance(started["startTime"], int)
        rig.play << NodeStarted("5", "KSampler", "") << ProgressMade(50, 1, 2)
        while (progress := event(stream))["progress"] < 50:
            pass
        assert progress == {"type": "workflow:progress", **about, "progress": 50, "currentNode": "5"}
        rig.play << (lambda job_id, host: {})
        completed = until(stream, "workflow:completed")
        assert (completed["progress"], completed["outputs"]) == (100, [])


def test_the_end_brings_the_outputs(rig: ManagementRig) -> None:
    job = rig.ran(("image.png", picture()))
    with open_stream(rig) as stream:
        subscribe(stream, job.id)
        # Late, but not too late: the end is the present state.
        completed = event(stream)
    assert completed["type"] == "workflow:completed"
    assert completed["outputs"] == rig.get(f"/v1/comfyui/workflow/{job.id}").json()["outputs"]


def test_a_failure_and_a_cancel(rig: ManagementRig) -> None:
    job = rig.ran(error=failure(ExecutionFailed("Node 3 (KSampler): boom")))
    rig.hold()
    waiting = rig.submit()
    with open_stream(rig) as stream:
        subscribe(stream, job.id)
        failed = event(stream)
        assert (failed["type"], failed["error"], failed["code"]) == (
            "workflow:error",
            "Node 3 (KSampler): boom",
            "EXECUTION_FAILED",
        )
        subscribe(stream, waiting)
        assert event(stream)["type"] == "workflow:queued"
        rig.request("DELETE", f"/v1/comfyui/workflow/{waiting}")
        assert until(stream, "workflow:cancelled")["workflowId"] == waiting


def test_who_comes_late_gets_the_present_state_first(rig: ManagementRig) -> None:
    workflow_id = rig.submit()
    with open_stream(rig) as early, open_stream(rig) as late:
        subscribe(early, workflow_id)
        rig.play << NodeStarted("5", "KSampler", "") << ProgressMade(50, 1, 2)
        while until(early, "workflow:progress")["progress"] < 50:
            pass
        subscribe(late, workflow_id)
        assert event(late)["type"] == "workflow:started"
        assert event(late)["progress"] == 50


def test_all_workflows_those_there_are_and_those_to_come(rig: ManagementRig) -> None:
    running = rig.submit()
    wait_for(lambda: rig.get(f"/v1/comfyui/workflow/{running}").json()["status"] == "running", "the start")
    waiting = rig.submit()
    with open_stream(rig) as stream:
        subscribe(stream)
        present = [event(stream) for _ in range(3)]
        told = [(each["type"], each["workflowId"]) for each in present]
        assert ("workflow:started", running) in told
        assert ("workflow:queued", waiting) in told
        new = rig.submit()
        while (found := until(stream, "workflow:queued"))["workflowId"] != new:
            pass
        rig.play << {} << {} << {}
        ended = {until(stream, "workflow:completed")["workflowId"] for _ in range(3)}
        assert ended == {running, waiting, new}
        assert found["type"] == "workflow:queued"


def test_unsubscribing(rig: ManagementRig) -> None:
    rig.hold()
    first, second = rig.submit(), rig.submit()
    with open_stream(rig) as stream:
        for each in (first, second):
            subscribe(stream, each)
            assert event(stream)["workflowId"] == each
        say(stream, "unsubscribe", workflowId=first)
        assert event(stream) == {"type": "unsubscribed", "workflowId": first}
        rig.request("DELETE", f"/v1/comfyui/workflow/{first}")
        rig.request("DELETE", f"/v1/comfyui/workflow/{second}")
        assert until(stream, "workflow:cancelled")["workflowId"] == second
    wait_for(lambda: rig.jobs.hub.readers() == 0, "the leaving")


def test_many_readers_of_a_workflow_cost_one_subscription(rig: ManagementRig) -> None:
    rig.hold()
    workflow_id = rig.submit()
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(open_stream(rig)) for _ in range(60)]
        for stream in streams:
            subscribe(stream, workflow_id)
            assert event(stream)["type"] == "workflow:queued"
        assert rig.jobs.hub.readers() == 1
        assert rig.get("/v1/status").json()["streamClients"] == 60
        assert "comfyui_websocket_clients 60.0" in rig.get("/metrics").text
        rig.request("DELETE", f"/v1/comfyui/workflow/{workflow_id}")
        assert {until(stream, "workflow:cancelled")["workflowId"] for stream in streams} == {workflow_id}
    wait_for(lambda: rig.get("/v1/status").json()["streamClients"] == 0, "the leaving")


def test_previews_come_to_who_asks_for_them(rig: ManagementRig) -> None:
    workflow_id = rig.submit()
    with open_stream(rig) as plain, open_stream(rig) as curious:
        subscribe(plain, workflow_id)
        subscribe(curious, workflow_id, previews=True)
        wait_for(lambda: rig.jobs.hub.readers() == 2, "both")
        rig.play << PreviewMade("3", "image/png", b"x")
        found = until(curious, "workflow:preview")
        assert (found["mimeType"], found["data"]) == ("image/png", "eA==")
        rig.play << {}
        kinds = set()
        while (kind := event(plain)["type"]) != "workflow:completed":
            kinds.add(kind)
        assert "workflow:preview" not in kinds


def test_messages_without_sense_are_answered_and_the_stream_goes_on(rig: ManagementRig) -> None:
    with open_stream(rig) as stream:
        for text in ("no json", "[]", '"x"', "\ud83d", '{"type": "dance"}', "{}"):
            stream.send(text.encode("utf-8", "replace").decode())
            assert (event(stream)["type"], True) == ("error", True)
        say(stream, "subscribe", workflowId=UNKNOWN)
        refused = event(stream)
        assert (refused["code"], refused["workflowId"]) == ("JOB_NOT_FOUND", UNKNOWN)
        say(stream, "subscribe", workflowId=["a list"])
        assert event(stream)["code"] == "JOB_NOT_FOUND"
        say(stream, "ping")
        assert event(stream) == {"type": "pong"}


def test_what_is_said_back_is_short(rig: ManagementRig) -> None:
    with open_stream(rig) as stream:
        say(stream, "subscribe", workflowId="x" * 900_000)
        told = event(stream)
    assert (told["type"], told["workflowId"]) == ("error", None)


def test_a_stream_that_asks_for_nothing_is_closed(tmp_path: Path) -> None:
    with management_rig(tmp_path, idle_s=0.2) as rig:
        rig.hold()
        workflow_id = rig.submit()
        with open_stream(rig) as asking, open_stream(rig) as silent:
            subscribe(asking, workflow_id)
            with pytest.raises(ConnectionClosed) as closed:
                silent.recv(timeout=15)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
            say(asking, "ping")
            assert until(asking, "pong") == {"type": "pong"}


def test_who_reads_slowly_misses_progress_and_not_the_end(rig: ManagementRig) -> None:
    workflow_id = rig.submit()
    with open_stream(rig, max_queue=1) as slow, open_stream(rig) as quick:
        subscribe(slow, workflow_id)
        subscribe(quick, workflow_id)
        for number in range(1, 2000):
            rig.play << ProgressMade(number / 20, 1, 2)
        rig.play << {}
        assert until(quick, "workflow:completed")["workflowId"] == workflow_id
        seen = 0
        while event(slow)["type"] != "workflow:completed":
            seen += 1
        assert seen < 300


class TestKeys:
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[ManagementRig]:
        with management_rig(tmp_path, guarded("k"), key="k") as rig:
            yield rig

    def test_the_key_in_a_header(self, rig: ManagementRig) -> None:
        with open_stream(rig, additional_headers={"X-API-Key": "k"}) as stream:
            say(stream, "ping")
            assert event(stream) == {"type": "pong"}

    def test_the_key_in_the_first_message(self, rig: ManagementRig) -> None:
        with open_stream(rig) as stream:
            say(stream, "auth", key="k")
            assert event(stream) == {"type": "authenticated"}
            subscribe(stream)

    def test_the_first_message_may_ask_at_once(self, rig: ManagementRig) -> None:
        rig.hold()
        workflow_id = rig.submit()
        with open_stream(rig) as stream:
            subscribe(stream, workflow_id, key="k")
            assert event(stream)["type"] == "workflow:queued"

    @pytest.mark.parametrize("message", [{"type": "auth", "key": "wrong"}, {"type": "subscribe"}, {"type": "ping"}])
    def test_without_the_key_nothing_is_told(self, rig: ManagementRig, message: dict[str, str]) -> None:
        with open_stream(rig) as stream:
            stream.send(json.dumps(message))
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv(timeout=15)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008

    def test_a_wrong_key_in_a_header_may_still_be_mended(self, rig: ManagementRig) -> None:
        with open_stream(rig, additional_headers={"X-API-Key": "no"}) as stream:
            say(stream, "auth", key="k")
            assert event(stream) == {"type": "authenticated"}

    def test_a_ticket_opens_the_stream_and_nothing_else(self, rig: ManagementRig) -> None:
        assert rig.post(f"{PATH}/ticket", headers={"X-API-Key": "no"}).status_code == 401
        ticket = rig.post(f"{PATH}/ticket").json()
        assert 0 < ticket["expiresAt"] - time.time() * 1000 <= 60_000
        with open_stream(rig, ticket["url"]) as stream:
            subscribe(stream)
        token = ticket["url"].partition("?")[2]
        assert rig.get(f"/v1/comfyui/outputs?{token}", headers={"X-API-Key": "no"}).status_code == 401


def test_pages_of_other_sites_are_kept_out_of_an_open_worker(rig: ManagementRig) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_stream(rig, additional_headers={"Origin": "https://evil.example"})
    assert refused.value.response.status_code == 403
