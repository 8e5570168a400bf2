"""What a workflow is expected to take on each ComfyUI."""

import pytest

from api.ids import InstanceName
from api.pool.times import Times

ONE, TWO = InstanceName("one"), InstanceName("two")


def test_nothing_known_is_a_guess_and_loading_costs() -> None:
    times = Times()
    assert 0 < times.expected(ONE, "k") < times.expected(ONE, "k", cold=True)


def test_its_own_newest_times_count_most() -> None:
    times = Times()
    times.note(ONE, "k", 10, cold=False)
    for _ in range(20):
        times.note(ONE, "k", 2, cold=False)
    assert times.expected(ONE, "k") == pytest.approx(2, abs=0.1)


def test_a_slower_one_is_expected_to_be_slower_with_what_it_never_ran() -> None:
    times = Times()
    times.note(ONE, "small", 1, cold=False)
    times.note(TWO, "small", 5, cold=False)
    times.note(ONE, "large", 1, cold=False)
    assert times.expected(TWO, "large") == pytest.approx(5)


def test_a_run_that_loaded_its_model_says_that_the_next_takes_less() -> None:
    times = Times()
    times.note(ONE, "k", 20, cold=True)
    assert times.expected(ONE, "k") < times.expected(ONE, "k", cold=True) == 20
    times.note(ONE, "k", 3, cold=False)
    assert times.expected(ONE, "k") == 3
    assert times.expected(ONE, "k", cold=True) == 20
