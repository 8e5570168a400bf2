"""When a ComfyUI gets no more jobs, and when it is tried again."""

import pytest

from api.breaker import Breaker, Cause, State


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(3, 10, clock)


def opened(breaker: Breaker, cause: Cause) -> None:
    assert [breaker.fail(cause, "x") for _ in range(3)] == [False, False, True]


def test_it_opens_at_failures_in_a_row(breaker: Breaker) -> None:
    breaker.fail(Cause.RUN, "a")
    breaker.fail(Cause.RUN, "b")
    breaker.succeed(Cause.RUN)
    assert not breaker.fail(Cause.RUN, "c")
    assert not breaker.fail(Cause.RUN, "d")
    assert breaker.state is State.CLOSED
    assert breaker.fail(Cause.RUN, "e")
    assert (breaker.state, breaker.reason, breaker.cause) == (State.OPEN, "e", Cause.RUN)


def test_what_goes_well_elsewise_is_no_excuse(breaker: Breaker) -> None:
    for _ in range(2):
        breaker.fail(Cause.RUN, "x")
        breaker.succeed(Cause.PROBE)
    assert breaker.fail(Cause.RUN, "x")


def test_one_that_was_away_may_be_tried_at_once(breaker: Breaker) -> None:
    opened(breaker, Cause.PROBE)
    assert breaker.is_due


def test_one_that_loses_jobs_is_tried_after_its_pause_which_doubles(breaker: Breaker, clock: Clock) -> None:
    opened(breaker, Cause.RUN)
    for pause_s in (10, 20, 40, 80, 100, 100):
        clock.now += pause_s - 1
        assert not breaker.is_due
        clock.now += 1
        assert breaker.is_due
        breaker.begin_trial()
        assert (breaker.state, breaker.is_due) == (State.HALF_OPEN, False)
        breaker.reopen("again")
    breaker.begin_trial()
    breaker.close()
    assert (breaker.state, breaker.strikes, breaker.reason) == (State.CLOSED, 0, None)
    opened(breaker, Cause.RUN)
    clock.now += 10
    assert breaker.is_due


def test_failures_long_ago_are_no_strikes(breaker: Breaker, clock: Clock) -> None:
    breaker.fail(Cause.RUN, "x")
    assert breaker.strikes == 1
    clock.now += 10
    assert breaker.strikes == 0
