"""The nodes that only the stand-in has: waiting, failing, telling anything."""

import json
import time
from pathlib import Path

import pytest
from support.node_runner import NodeRunner

from api.standin.node_types import Interrupted
from api.standin.nodes import NODES
from api.standin.validation import type_name


@pytest.fixture
def runner(tmp_path: Path) -> NodeRunner:
    return NodeRunner(tmp_path)


def test_sleep_tells_its_steps_and_passes_its_input_on(runner: NodeRunner) -> None:
    started = time.monotonic()
    assert runner.value("StandinSleep", image="picture", seconds=0.05, steps=5) == "picture"
    assert time.monotonic() - started >= 0.05
    assert runner.steps == [(step, 5) for step in range(1, 6)]


def test_sleep_can_be_interrupted_within_a_long_step(runner: NodeRunner) -> None:
    runner.interrupt_at = 1
    started = time.monotonic()
    with pytest.raises(Interrupted):
        runner.value("StandinSleep", image="picture", seconds=60, steps=1)
    assert time.monotonic() - started < 5
    assert runner.steps == [(0, 1)]


@pytest.mark.parametrize(
    ("kind", "told", "base"),
    [
        ("RuntimeError", "RuntimeError", RuntimeError),
        ("KeyError", "KeyError", KeyError),
        ("SystemExit", "SystemExit", SystemExit),
        ("torch.OutOfMemoryError", "torch.OutOfMemoryError", RuntimeError),
        ("a.b.Odd", "a.b.Odd", RuntimeError),
    ],
)
def test_fail_raises_what_is_asked_for(runner: NodeRunner, kind: str, told: str, base: type[BaseException]) -> None:
    with pytest.raises(base) as caught:
        runner.value("StandinFail", image=None, message="no such luck", kind=kind)
    assert type_name(caught.value) == told
    assert "no such luck" in str(caught.value)


def test_fail_needs_no_kind(runner: NodeRunner) -> None:
    with pytest.raises(RuntimeError, match=r"^no such luck$"):
        runner.value("StandinFail", image=None, message="no such luck")


def test_ui_is_told_as_it_is(runner: NodeRunner) -> None:
    ui = {"gifs": [{"filename": "a.mp4", "subfolder": "s", "type": "output"}], "text": ["x"], "3d": []}
    workflow = {"1": {"class_type": "StandinUI", "inputs": {"ui": json.dumps(ui), "files": '{"s/a.mp4": 10}'}}}
    assert runner.run(workflow) == {"1": ui}
    assert (runner.output_dir / "s" / "a.mp4").stat().st_size == 10


def test_noise_is_the_same_for_the_same_seed(runner: NodeRunner) -> None:
    size = 3 * 1024 * 1024 + 1
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        inputs = {"ui": "{}", "files": json.dumps({name: size}), "seed": seed}
        runner.run({"1": {"class_type": "StandinUI", "inputs": inputs}})
    a, b, c = ((runner.output_dir / name).read_bytes() for name in "abc")
    assert len(a) == size
    assert a == b
    assert a != c


def test_files_stay_in_output(runner: NodeRunner) -> None:
    inputs = {"ui": "{}", "files": '{"../x": 1}'}
    with pytest.raises(ValueError, match="not below the output directory"):
        runner.run({"1": {"class_type": "StandinUI", "inputs": inputs}})


def test_they_say_that_no_comfyui_has_them() -> None:
    invented = [node for name, node in NODES.items() if name.startswith("Standin")]
    assert len(invented) == 3
    assert all(node.info["description"].startswith("Stand-in only.") for node in invented)
    assert [node.info["output_node"] for node in invented] == [False, False, True]
