"""Percent over the graph, from events."""

import json

from api.comfyui.events import (
    ComfyEvent,
    ExecutionStarted,
    Hint,
    HintKind,
    NodeExecuted,
    NodeExecuting,
    NodesCached,
    Progress,
    ProgressState,
)
from api.comfyui.progress import ProgressMeter, ProgressReading


def states(**nodes: tuple[float, float, str]) -> ProgressState:
    content = {
        node.removeprefix("n"): {"value": value, "max": maximum, "state": state}
        for node, (value, maximum, state) in nodes.items()
    }
    return ProgressState(json.dumps({"type": "progress_state", "data": {"nodes": content}}).encode())


def percents(meter: ProgressMeter, *events: ComfyEvent) -> list[float | None]:
    readings = [meter.note(event) for event in events]
    return [reading and reading.percent for reading in readings]


def test_a_run_of_four_nodes():
    meter = ProgressMeter(["1", "2", "3", "4"])
    assert percents(
        meter,
        ExecutionStarted(),
        NodesCached(("1",)),
        states(n2=(0, 1, "running")),
        NodeExecuting("2", "2"),
        states(n2=(1, 2, "running")),
        Progress("2", 1, 2),
        states(n2=(1, 1, "finished")),
        states(n2=(1, 1, "finished"), n3=(0, 1, "running")),
        NodeExecuting("3", "3"),
        NodeExecuted("3", "3", None),
        Hint(HintKind.SUCCEEDED),
        Hint(HintKind.ENDED),
    ) == [None, 25.0, None, None, 37.5, None, 50.0, None, None, 75.0, 100.0, None]


def test_the_bar_of_a_node_is_part_of_the_whole():
    meter = ProgressMeter(["3", "5"])
    meter.note(NodeExecuting("3", "3"))
    assert meter.note(Progress("3", 7, 20)) == ProgressReading(17.5, 0, 2)


def test_it_never_goes_back():
    meter = ProgressMeter(["1"])
    assert percents(meter, Progress("1", 9, 10), Progress("1", 1, 10)) == [90.0, None]
    assert meter.reading().percent == 90.0


def test_an_older_comfyui_without_progress_state():
    meter = ProgressMeter(["1", "2"])
    assert percents(meter, NodeExecuting("1", "1"), NodeExecuting("2", "2")) == [None, 50.0]


def test_nodes_of_an_expansion_show_as_their_parent_and_count_for_nothing():
    meter = ProgressMeter(["2", "3"])
    assert meter.note(NodeExecuting("2.0.0.1", "2")) is None
    assert percents(meter, states(**{"n2.0.0.1": (1, 1, "finished")})) == [None]


def test_a_fully_cached_run():
    meter = ProgressMeter(["1", "2"])
    assert percents(meter, NodesCached(("1", "2")), Hint(HintKind.SUCCEEDED)) == [100.0, None]


def test_a_failed_run_does_not_jump_to_the_end():
    meter = ProgressMeter(["1", "2"])
    assert percents(meter, NodeExecuted("1", "1", None), Hint(HintKind.FAILED)) == [50.0, None]


def test_nonsense_bars():
    meter = ProgressMeter(["1"])
    assert percents(meter, Progress("1", 5, 0), Progress("1", 50, 10)) == [None, 100.0]
    assert ProgressMeter([]).reading().percent == 0.0
