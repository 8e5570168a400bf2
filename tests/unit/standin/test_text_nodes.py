"""Primitives, strings and regular expressions, and PreviewAny's text of any value."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.node_runner import NodeRunner

PLAIN = {"case_insensitive": False, "multiline": False, "dotall": False}


@pytest.fixture
def runner(tmp_path: Path) -> NodeRunner:
    return NodeRunner(tmp_path)


def preview(runner: NodeRunner, class_type: str, **inputs: Any) -> str:
    workflow = {
        "1": {"class_type": class_type, "inputs": inputs},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    return runner.run(workflow)["2"]["text"][0]


@pytest.mark.parametrize(
    ("class_type", "inputs", "shown"),
    [
        ("PrimitiveInt", {"value": -(2**62)}, str(-(2**62))),
        ("PrimitiveFloat", {"value": float("nan")}, "nan"),
        ("PrimitiveString", {"value": "lone \ud800"}, "lone \ud800"),
        ("StringSubstring", {"string": "abcdef", "start": -3, "end": -1}, "de"),
        ("CaseConverter", {"string": "aB cD", "mode": "lowercase"}, "ab cd"),
        ("CaseConverter", {"string": "aB cD", "mode": "Capitalize"}, "Ab cd"),
        ("StringTrim", {"string": " x ", "mode": "Left"}, "x "),
        ("StringTrim", {"string": " x ", "mode": "Right"}, " x"),
        ("StringContains", {"string": "Hello", "substring": "hell", "case_sensitive": True}, "False"),
        ("StringCompare", {"string_a": "ABC", "string_b": "bc", "mode": "Ends With", "case_sensitive": False}, "True"),
        ("StringCompare", {"string_a": "a", "string_b": "A", "mode": "Equal", "case_sensitive": True}, "False"),
        ("RegexMatch", PLAIN | {"string": "a\nb", "regex_pattern": "a.b"}, "False"),
        ("RegexMatch", PLAIN | {"string": "a\nb", "regex_pattern": "a.b", "dotall": True}, "True"),
        ("RegexMatch", PLAIN | {"string": "a\nb", "regex_pattern": "^b", "multiline": True}, "True"),
        ("RegexReplace", {"string": "AbA", "regex_pattern": "a", "replace": "-", "count": 1}, "-bA"),
        ("RegexReplace", {"string": "x1", "regex_pattern": r"(\w)1", "replace": r"\1!"}, "x!"),
    ],
)
def test_text_node(runner: NodeRunner, class_type: str, inputs: dict[str, Any], shown: str) -> None:
    assert preview(runner, class_type, **inputs) == shown


@pytest.mark.parametrize(
    ("mode", "extracted"),
    [("First Match", "a1"), ("All Matches", "a1\nb2"), ("First Group", "1"), ("All Groups", "1\n2")],
)
def test_regex_extract(runner: NodeRunner, mode: str, extracted: str) -> None:
    inputs = PLAIN | {"string": "a1 b2", "regex_pattern": r"\w(\d)", "mode": mode, "group_index": 1}
    assert preview(runner, "RegexExtract", **inputs) == extracted


def test_regex_extract_finds_nothing(runner: NodeRunner) -> None:
    inputs = PLAIN | {"string": "a1", "regex_pattern": "(a)", "mode": "First Group", "group_index": 2}
    assert preview(runner, "RegexExtract", **inputs) == ""


def test_images_are_shown_as_torch_prints_them(runner: NodeRunner) -> None:
    shown = preview(runner, "EmptyImage", width=2, height=2, batch_size=1, color=0)
    row = "[[0., 0., 0.],\n          [0., 0., 0.]]"
    assert shown == f"tensor([[{row},\n\n         {row}]])"


def test_latents_are_shown_with_their_names(runner: NodeRunner) -> None:
    shown = preview(runner, "EmptyLatentImage", width=16, height=16, batch_size=1)
    assert shown.startswith("{'samples': tensor([[[[0., 0.],")


def test_values_survive_as_json(runner: NodeRunner) -> None:
    assert json.dumps(runner.value("PrimitiveBoolean", value=True)) == "true"
    assert isinstance(runner.value("EmptyImage", width=1, height=1, batch_size=1, color=0), np.ndarray)
