"""The queue's corners that the recordings only summarise."""

from typing import Any

import pytest

from api.standin.prompt_queue import PromptQueue


def make() -> tuple[PromptQueue, list[int]]:
    told: list[int] = []
    return PromptQueue(told.append), told


def item(number: Any, prompt_id: str, extra_data: Any = None) -> tuple[Any, str, dict[str, Any], Any, list[str]]:
    return number, prompt_id, {"1": {}}, extra_data if extra_data is not None else {}, ["1"]


def filled_history() -> PromptQueue:
    queue, _ = make()
    for name in ("p1", "p2", "q0", "q1", "q2", "q3", "q4"):
        queue.put(item(0, name))
        taken = queue.get(0)
        assert taken is not None
        queue.finish(taken[0], {"outputs": {}})
    return queue


@pytest.mark.parametrize(
    ("max_items", "offset", "expected"),
    [
        (None, -1, ["p1", "p2", "q0", "q1", "q2", "q3", "q4"]),
        (2, -1, ["q3", "q4"]),
        (2, 0, ["p1", "p2"]),
        (2, 3, ["q1", "q2"]),
        (None, 5, ["q3", "q4"]),
        (100, -1, ["p1", "p2", "q0", "q1", "q2", "q3", "q4"]),
        (0, -1, []),
        (-1, -1, []),
        (None, -3, ["p1", "p2", "q0", "q1", "q2", "q3", "q4"]),
        (None, 100, []),
    ],
)
def test_history_pages_as_recorded(max_items: int | None, offset: int, expected: list[str]):
    assert list(filled_history().history(max_items, offset)) == expected


def test_the_smallest_number_runs_first():
    queue, _ = make()
    for number, name in [(206, "a"), (-207, "b"), (-208, "c"), (-1000.0, "d"), (0.5, "e"), (209, "f"), (7.0, "g")]:
        queue.put(item(number, name))
    order = [queue.get(0) for _ in range(7)]
    assert [taken[1][1] for taken in order if taken] == ["d", "c", "b", "e", "g", "a", "f"]


def test_deleting_the_only_pending_prompt_is_told_twice():
    queue, told = make()
    queue.put(item(0, "a"))
    queue.delete("a")
    assert told == [1, 0, 0]


def test_deleting_takes_the_first_match_only():
    queue, told = make()
    for number in (1, 2, 3):
        queue.put(item(number, "same"))
    queue.delete("same")
    assert [pending[0] for pending in queue.snapshot()[1]] == [2, 3]
    assert told[-1] == 2


def test_equal_number_and_id_raise_yet_are_queued():
    queue, _ = make()
    queue.put(item(5.0, "same"))
    with pytest.raises(TypeError):
        queue.put((5.0, "same", {"2": {}}, {}, ["2"]))  # the heap falls back to comparing the prompts
    assert queue.remaining() == 2


def test_secrets_leave_when_a_prompt_reaches_history():
    queue, _ = make()
    queue.put(item(0, "a", {"api_key_comfy_org": "k", "auth_token_comfy_org": "t", "other": "kept"}))
    taken = queue.get(0)
    assert taken is not None
    assert queue.snapshot()[0][0][3]["api_key_comfy_org"] == "k"
    queue.finish(taken[0], {})
    assert queue.history_of("a")["a"]["prompt"][3] == {"other": "kept"}


def test_a_flag_wakes_the_worker_without_a_prompt():
    queue, _ = make()
    queue.set_flag("free_memory")
    assert queue.get(10) is None
    assert queue.take_flags() == {"free_memory": True}
    assert queue.take_flags() == {}
