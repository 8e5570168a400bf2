"""Cache signatures and the order of execution."""

from typing import Any

import pytest

from api.standin.graph import Plan, signatures


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def sign(prompt: dict[str, Any]) -> dict[str, str]:
    return signatures(prompt, lambda _: None)


def order(prompt: dict[str, Any], *wanted: str, cached: tuple[str, ...] = ()) -> list[str]:
    plan = Plan(prompt, wanted, cached.__contains__, lambda node_id: prompt[node_id]["class_type"] == "Save")
    taken = []
    while plan:
        taken.append(plan.take())
        plan.done(taken[-1])
    return taken


CHAIN = {"1": node("Empty", width=8), "2": node("Invert", image=["1", 0]), "3": node("Save", images=["2", 0])}


def test_node_ids_do_not_count_in_a_signature():
    other = {"a": node("Empty", width=8), "b": node("Invert", image=["a", 0]), "c": node("Save", images=["b", 0])}
    assert list(sign(CHAIN).values()) == list(sign(other).values())


def test_an_ancestor_changes_every_signature_below_it():
    changed = CHAIN | {"1": node("Empty", width=9)}
    assert not set(sign(CHAIN).values()) & set(sign(changed).values())


def test_the_fingerprint_counts():
    assert signatures(CHAIN, lambda _: "a") != signatures(CHAIN, lambda _: "b")


def test_the_slot_of_a_link_counts():
    other = CHAIN | {"2": node("Invert", image=["1", 1])}
    assert sign(CHAIN)["2"] != sign(other)["2"]


def test_cycles_and_links_to_nowhere_are_survived():
    prompt = {
        "1": node("A", x=["2", 0]),
        "2": node("A", x=["1", 0]),
        "3": node("A", x=["99", 0]),
        "4": node("A", x=["4", 0]),
    }
    assert len(sign(prompt)) == 4


@pytest.mark.parametrize(
    ("bad", "error"), [({"class_type": "A"}, KeyError), ({"class_type": "A", "inputs": None}, AttributeError)]
)
def test_a_node_without_inputs_raises_as_in_comfyui(bad: dict[str, Any], error: type[Exception]):
    with pytest.raises(error):
        sign(CHAIN | {"9": bad})


def test_a_long_chain_is_no_problem():
    prompt = {"0": node("Empty")} | {str(i): node("Invert", image=[str(i - 1), 0]) for i in range(1, 3000)}
    assert len(set(sign(prompt).values())) == 3000


def test_outputs_run_as_soon_as_they_can():
    prompt = CHAIN | {"4": node("Save", images=["1", 0])}
    assert order(prompt, "3", "4") == ["1", "4", "2", "3"]


def test_the_branch_of_the_last_link_runs_first():
    prompt = {
        "1": node("Empty"),
        "2": node("Empty", width=2),
        "3": node("Batch", a=["1", 0], b=["2", 0]),
        "4": node("Save", images=["3", 0]),
    }
    assert order(prompt, "4") == ["2", "1", "3", "4"]


def test_only_what_is_needed_and_not_cached_runs():
    prompt = CHAIN | {"7": node("Empty", width=7)}
    assert order(prompt, "3", cached=("1",)) == ["2", "3"]
    assert order(prompt, "3", cached=("1", "2", "3")) == ["3"]
