"""Calling a node: lists, blocked values, ui."""

from typing import Any

import numpy as np

from api.standin.node_call import Blocked, Outcome, call, resolve_inputs, shown, tensor_text
from api.standin.node_types import NodeClass, NodeResult


def node_class(run: Any, *, is_list: tuple[bool, ...] = (False,), takes_list: bool = False) -> NodeClass:
    info = {"input": {"required": {"a": ["INT"], "b": ["INT"]}}, "output_is_list": list(is_list)}
    return NodeClass("Test", lambda context, **inputs: run(**inputs), info, input_is_list=takes_list)


def run(node: NodeClass, **values: list[Any]) -> Outcome:
    return call(node, None, values, lambda: None)  # type: ignore[arg-type]


def test_a_node_runs_per_item_and_short_lists_repeat_their_last():
    add = node_class(lambda a, b: NodeResult((a + b,), {"text": [a]}))
    outcome = run(add, a=[1, 2, 3], b=[10, 20])
    assert outcome.slots == [[11, 22, 23]]
    assert outcome.ui == {"text": [1, 2, 3]}


def test_a_list_output_is_spread():
    split = node_class(lambda a, b: NodeResult(([a, b],)), is_list=(True,))
    assert run(split, a=[1, 2], b=[9]).slots == [[1, 9, 2, 9]]


def test_a_node_that_takes_lists_runs_once():
    total = node_class(lambda a, b: NodeResult((sum(a) + sum(b),)), takes_list=True)
    assert run(total, a=[1, 2], b=[3]).slots == [[6]]


def test_a_blocked_value_stops_the_node_and_is_told_once():
    never = node_class(lambda a, b: NodeResult((1 / 0,)))
    outcome = run(never, a=[Blocked("no")], b=[1])
    assert outcome.blocked == ["no"]
    assert outcome.slots == [[Blocked(None)]]
    assert run(never, a=outcome.slots[0], b=[1]).blocked == []


def test_unknown_inputs_are_dropped_and_links_resolved():
    node = {"inputs": {"a": ["7", 1], "b": 2, "bogus": 3}}
    values = resolve_inputs(node, node_class(None), lambda node_id: [[0], [5, 6]])
    assert values == {"a": [5, 6], "b": [2]}


def test_inputs_of_an_error_keep_plain_values():
    told = shown({"a": [1, 0.5, True, None, "x"], "b": [{"k": 1}], "c": [np.zeros((1, 2), np.float32)]})
    assert told == {"a": [1, 0.5, True, None, "x"], "b": ["{'k': 1}"], "c": ["tensor([[0., 0.]])"]}


def test_a_tensor_reads_as_torch_prints_it():
    image = np.full((1, 2, 2, 3), [0.0, 0.0, 7 / 255], dtype=np.float32)
    pixel = "[0.0000, 0.0000, 0.0275]"
    row = f"[{pixel},\n          {pixel}]"
    assert tensor_text(image) == f"tensor([[{row},\n\n         {row}]])"
