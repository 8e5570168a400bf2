"""What listeners of a job are told of ComfyUI's events."""

import math

import pytest

from api.comfyui.events import (
    ComfyEvent,
    ExecutionStarted,
    Hint,
    HintKind,
    LookNow,
    NodeExecuted,
    NodeExecuting,
    NodesCached,
    Preview,
    Progress,
    PromptAccepted,
    PromptWaiting,
)
from api.jobs.events import (
    JobEvent,
    NodeStarted,
    OutputProduced,
    PreviewMade,
    ProgressMade,
    PromptQueued,
    PromptStarted,
    SocketChanged,
    StepReached,
)
from api.pool.narrator import Narrator

WORKFLOW = {
    "1": {"class_type": "EmptyImage", "inputs": {}, "_meta": {"title": "Canvas"}},
    "2": {"class_type": "SaveImage", "inputs": {}},
}


def told(*events: ComfyEvent, previews: bool = False, **options: object) -> list[JobEvent]:
    heard: list[JobEvent] = []
    narrator = Narrator(WORKFLOW, heard.append, wants_previews=lambda: previews, **options)
    for event in events:
        narrator.tell(event)
    return heard


def test_a_run_from_the_queue_to_the_end():
    assert told(
        PromptAccepted(1),
        PromptWaiting(2),
        ExecutionStarted(),
        NodeExecuting("1", "1"),
        Progress("1", 1, 2),
        NodeExecuted("1", "1", None),
        NodeExecuting("2", "2"),
        NodeExecuted("2", "2", {"images": [{"filename": "a.png", "subfolder": "x", "type": "output"}]}),
        Hint(HintKind.SUCCEEDED),
    ) == [
        PromptQueued(0),
        PromptQueued(2),
        PromptStarted(),
        NodeStarted("1", "EmptyImage", "Canvas"),
        StepReached("1", 1, 2),
        ProgressMade(25.0, 0, 2),
        ProgressMade(50.0, 1, 2),
        NodeStarted("2", "SaveImage", ""),
        OutputProduced("2", "a.png", "x"),
        ProgressMade(100.0, 2, 2),
    ]


def test_a_prompt_that_only_waits_is_not_told_as_begun():
    """Who counts ComfyUI's deaths against a job must not count this one."""
    began = (PromptStarted, NodeStarted, ProgressMade, StepReached)
    assert not [
        event
        for event in told(PromptAccepted(1), PromptWaiting(3), LookNow(connected=False))
        if isinstance(event, began)
    ]


def test_it_is_told_when_the_socket_goes_and_comes():
    assert told(LookNow(connected=False), LookNow(connected=True)) == [
        SocketChanged(connected=False),
        SocketChanged(connected=True),
    ]


def test_a_second_run_does_not_go_back():
    assert told(NodesCached(("1",)), told_percent=80.0) == [ProgressMade(80.0, 1, 2)]


def test_previews_are_passed_on_when_asked_for():
    preview = Preview(b"jpeg", "image/jpeg", None)
    assert told(NodeExecuting("1", "1"), preview)[1:] == []
    assert told(NodeExecuting("1", "1"), preview, previews=True)[1:] == [PreviewMade("1", "image/jpeg", b"jpeg")]


def test_previews_are_passed_on_while_somebody_wants_them():
    heard: list[JobEvent] = []
    wanted = iter([False, True, False])
    narrator = Narrator(WORKFLOW, heard.append, wants_previews=lambda: next(wanted))
    for number in range(3):
        narrator.tell(Preview(bytes([number]), "image/jpeg", "1"))
    assert [event.image for event in heard if isinstance(event, PreviewMade)] == [b"\x01"]


@pytest.mark.parametrize(
    ("file", "made"),
    [
        ({"subfolder": f"job-{'0f' * 16}/mine"}, [OutputProduced("2", "a.png", "mine")]),
        ({"subfolder": "", "type": "temp"}, [OutputProduced("2", "a.png", is_temp=True)]),
        ({"subfolder": "", "type": "input"}, []),
        ({"subfolder": "../x", "type": "output"}, []),
    ],
)
def test_outputs_are_told_as_the_result_names_them(file: dict[str, str], made: list[OutputProduced]):
    events = told(NodeExecuted("2", "2", {"images": [{"filename": "a.png", **file}]}))
    assert [event for event in events if isinstance(event, OutputProduced)] == made


@pytest.mark.parametrize(("value", "maximum"), [(math.nan, 1), (1, math.inf)])
def test_a_bar_without_end_is_no_step(value: float, maximum: float):
    assert not [event for event in told(Progress("1", value, maximum)) if isinstance(event, StepReached)]


@pytest.mark.parametrize(
    ("filename", "named"),
    [("a.png", ["a.png"]), ("../../a.png", []), ("b/a.png", ["a.png"]), ("\ud800.png", []), (5, []), ("", [])],
)
def test_outputs_are_told_by_a_plain_name(filename: object, named: list[str]):
    events = told(NodeExecuted("2", "2", {"images": [{"filename": filename}, "text", 7], "text": "a"}))
    assert [event.filename for event in events if isinstance(event, OutputProduced)] == named
