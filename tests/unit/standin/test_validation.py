"""Validation cases that the replayed recordings do not reach; the rest is in test_protocol."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.standin.node_types import NodeClass, NodeResult
from api.standin.validation import Verdict, types_match, validate_prompt


def node_class(name: str, required: dict[str, Any], outputs: tuple[str, ...] = ()) -> NodeClass:
    info = {"input": {"required": required}, "output": list(outputs), "output_node": not outputs}
    return NodeClass(name, lambda context: NodeResult(()), info)


LONG = [f"s{i}" for i in range(42)]
NODES = {
    node.name: node
    for node in (
        node_class("Long", {"sampler": [LONG]}, ("X",)),
        node_class("None", {"model": [[], {"tooltip": "t"}]}, ("X",)),
        node_class("Combo", {"mode": ["COMBO", {"options": ["a"]}]}, ("X",)),
        node_class("Pass", {"x": ["X"]}, ("X",)),
        node_class("Count", {"n": ["INT", {"min": 1, "max": 5}]}, ("X",)),
        node_class("Show", {"x": ["*"]}),
        node_class("Save", {"x": ["X"], "y": ["X"]}),
    )
}


@pytest.fixture(autouse=True)
def deep_stack() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(before)


def check(prompt: Any, targets: Any = None) -> Verdict:
    return validate_prompt(prompt, targets, NODES, Path("/nowhere"))


def shown_by(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {
        "1": {"class_type": class_type, "inputs": inputs},
        "2": {"class_type": "Show", "inputs": {"x": ["1", 0]}},
    }


def only_error(verdict: Verdict, node_id: str = "1") -> dict[str, Any]:
    (found,) = verdict.node_errors[node_id]["errors"]
    assert isinstance(found, dict)
    return found


def test_a_long_list_is_not_told():
    found = only_error(check(shown_by("Long", sampler="magic")))
    assert found["details"] == "sampler: 'magic' not in (list of length 42)"
    assert found["extra_info"]["input_config"] is None


def test_an_empty_list_is_told():
    found = only_error(check(shown_by("None", model="sd15.safetensors")))
    assert found["details"] == "model: 'sd15.safetensors' not in []"
    assert found["extra_info"]["input_config"] == [[], {"tooltip": "t"}]


def test_a_v3_combo_takes_anything():
    assert check(shown_by("Combo", mode="no such")).outputs == ["2"]


def test_the_own_errors_of_an_output_are_told_on_top():
    verdict = check({"1": {"class_type": "Save", "inputs": {}}})
    assert verdict.refusal is not None
    assert verdict.refusal["details"] == "Required input is missing: x\nRequired input is missing: y"


def test_a_wrapped_list_is_unwrapped_and_coercions_are_written_back():
    prompt = shown_by("Count", n={"__value__": "3"})
    assert check(prompt).outputs == ["2"]
    assert prompt["1"]["inputs"]["n"] == 3


def chain(length: int) -> dict[str, Any]:
    prompt = {"0": {"class_type": "Count", "inputs": {"n": 1}}}
    for i in range(1, length):
        prompt[str(i)] = {"class_type": "Pass", "inputs": {"x": [str(i - 1), 0]}}
    return prompt | {"out": {"class_type": "Show", "inputs": {"x": [str(length - 1), 0]}}}


def test_chains_of_980_pass_and_longer_ones_do_not():
    assert check(chain(980)).outputs == ["out"]
    verdict = check(chain(985))
    assert verdict.refusal is not None
    (entry,) = verdict.node_errors.values()
    assert entry["errors"][0]["extra_info"]["exception_type"] == "RecursionError"


def test_a_cycle_is_refused_without_a_word():
    prompt = {
        "1": {"class_type": "Pass", "inputs": {"x": ["2", 0]}},
        "2": {"class_type": "Pass", "inputs": {"x": ["1", 0]}},
        "3": {"class_type": "Show", "inputs": {"x": ["1", 0]}},
    }
    verdict = check(prompt)
    assert verdict.refusal is not None
    assert verdict.refusal["details"] == ""
    assert verdict.node_errors == {}


def test_targets_that_are_a_number_raise():
    with pytest.raises(TypeError):
        check(shown_by("Count", n=1), 5)


@pytest.mark.parametrize(
    ("received", "expected", "fits"),
    [
        ("X", "X", True),
        ("X", "*", True),
        ("*", "X", True),
        ("X", "X,Y", True),
        ("X,Y", "X", False),
        ("X", ["a"], False),
    ],
)
def test_types(received: Any, expected: Any, fits: bool):
    assert types_match(received, expected) is fits
