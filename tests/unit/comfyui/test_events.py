"""Frames of a real ComfyUI, read."""

import json
import struct

import pytest
from support.recorded import frames

from api.comfyui.events import (
    ExecutionStarted,
    Hint,
    HintKind,
    Message,
    NodeBlocked,
    NodeExecuted,
    NodeExecuting,
    NodesCached,
    NodeState,
    Preview,
    ProgressState,
    ProgressText,
    parse_binary,
    parse_text,
)

RUN = "06397ea6-75c1-4e80-95e0-223eccf83df1"


def read(file: str) -> list[Message]:
    messages = (parse_binary(data) if binary else parse_text(data) for binary, data in frames(file))
    return [message for message in messages if message]


def text(kind: str, **data: object) -> Message | None:
    return parse_text(json.dumps({"type": kind, "data": data}).encode())


def test_a_plain_run():
    messages = read("01")
    assert {message.prompt_id for message in messages} == {RUN}
    events = [message.event for message in messages if not isinstance(message.event, ProgressState)]
    assert events == [
        ExecutionStarted(),
        NodesCached(()),
        NodeExecuting("1", "1"),
        NodeExecuted("3", "3", {"images": [{"filename": "ok_00001_.png", "subfolder": "rec01", "type": "output"}]}),
        Hint(HintKind.SUCCEEDED),
        Hint(HintKind.ENDED),
    ]


def test_progress_state_is_only_read_on_demand():
    state = next(message.event for message in read("01") if isinstance(message.event, ProgressState))
    assert state.nodes() == {"1": NodeState(0.0, 1.0, False, "1")}


def test_progress_state_with_its_fields_in_another_order():
    message = text("progress_state", nodes={"1": {"value": 1, "max": 2, "activity": "x"}}, prompt_id="p")
    assert message and message.prompt_id == "p"
    assert isinstance(message.event, ProgressState)
    assert message.event.nodes() == {"1": NodeState(1.0, 2.0, False, "1")}


def test_pitfall_15_executed_with_null_output():
    assert text("executed", node="2", display_node="2", output=None, prompt_id="p") == Message(
        "p", NodeExecuted("2", "2", None)
    )


def test_pitfall_5_execution_blocker_is_no_end():
    blocked = [message.event for message in read("06") if isinstance(message.event, NodeBlocked)]
    assert len(blocked) == 1
    assert blocked[0].node_id == "3"
    failed = [message for message in read("06") if message.event == Hint(HintKind.FAILED)]
    assert failed, "real errors still are hints"


def test_an_interrupt_is_a_hint():
    assert Hint(HintKind.INTERRUPTED) in [message.event for message in read("06")]


def test_previews_without_and_with_metadata_and_text():
    events = [message for message in read("11") if isinstance(message.event, Preview | ProgressText)]
    plain_jpeg, plain_png, jpeg, png, line = events
    assert plain_jpeg.prompt_id is None
    assert plain_jpeg.event.mime_type == "image/jpeg" and plain_jpeg.event.node_id is None
    assert plain_jpeg.event.image.startswith(b"\xff\xd8\xff")
    assert plain_png.event.mime_type == "image/png" and plain_png.event.image.startswith(b"\x89PNG")
    assert jpeg.prompt_id == "61fa4293-e221-46d5-91b6-e8f24409d2d2"
    assert jpeg.event == Preview(bytes.fromhex("ffd8ffe000104a46"), "image/jpeg", "2")
    assert png.event.mime_type == "image/png"
    assert line.event == ProgressText("2", "fünf")


def test_the_executing_sent_on_reconnect_names_no_prompt():
    assert Message(None, NodeExecuting("2", "2")) in read("12")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        b"5",
        b"[]",
        b"null",
        b"{}",
        b'{"type": "executing"}',
        b'{"type": "executing", "data": 5}',
        b'{"type": "executing", "data": {}}',
        b'{"type": "progress", "data": {"value": "x", "max": 1, "node": "1"}}',
        b'{"type": "made up later", "data": {"prompt_id": "p"}}',
        b'{"type": ["unhashable"], "data": {}}',
        b'{"type": "progress_state", "data": null}',
        b'{"type": "status", "data": {}}',
        b"\xff\xfe",
    ],
)
def test_what_makes_no_sense_is_passed_over(raw: bytes):
    assert parse_text(raw) is None


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0\0", struct.pack(">I", 2) + b"x", struct.pack(">I", 99), struct.pack(">II", 4, 9) + b"not json"],
)
def test_binary_frames_that_make_no_sense_are_passed_over(raw: bytes):
    assert parse_binary(raw) is None


def test_a_damaged_progress_state_reads_as_empty():
    assert ProgressState(b'{"type": "progress_state", "data": {"nodes": [1]}}').nodes() == {}
    assert ProgressState(b"{").nodes() == {}
