"""When a webhook is tried again: the schedule, its jitter, and what receivers may ask for."""

import pytest

from api.jobs.outbox import DeliveryState
from api.jobs.webhook_schedule import DELAYS_S, Answer, Verdict, verdict_on

NOW = 1_000_000.0


def exact(low: float, high: float) -> float:
    return 1.0


def delay_after(answer: Answer, tries: int = 1) -> float:
    verdict = verdict_on(answer, tries, NOW, exact)
    assert verdict.state is DeliveryState.DUE
    return verdict.due_at - NOW


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_every_2xx_is_delivered(status: int) -> None:
    assert verdict_on(Answer(status), 1, NOW).state is DeliveryState.DELIVERED


def test_the_schedule_is_that_of_standard_webhooks() -> None:
    delays = [delay_after(Answer(500), tries) for tries in range(1, 10)]
    assert delays == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]


def test_it_is_given_up_after_the_tenth_try() -> None:
    assert verdict_on(Answer(None, "no connection"), 10, NOW) == Verdict(DeliveryState.ABANDONED)


@pytest.mark.parametrize("answer", [Answer(410), Answer(None, "its job is gone", final=True)])
def test_what_will_never_succeed_is_given_up_at_once(answer: Answer) -> None:
    assert verdict_on(answer, 1, NOW).state is DeliveryState.ABANDONED


@pytest.mark.parametrize("status", [101, 302, 308, 400, 404, 500])
def test_everything_else_is_tried_again(status: int) -> None:
    assert delay_after(Answer(status)) == 5


def test_retry_after_is_kept_to() -> None:
    assert delay_after(Answer(503, retry_after_s=120)) == 120
    assert delay_after(Answer(429, retry_after_s=1)) == 5, "never sooner than the schedule"
    assert delay_after(Answer(503, retry_after_s=10**9)) == 86_400, "nor in years"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_overloaded_receiver_is_given_a_minute(status: int) -> None:
    assert delay_after(Answer(status)) == 60
    assert delay_after(Answer(status), tries=2) == 300


def test_jitter_spreads_the_tries_and_never_goes_below_retry_after() -> None:
    delays = {verdict_on(Answer(500), 2, 0.0).due_at for _ in range(50)}
    assert len(delays) > 40
    assert all(270 <= delay <= 330 for delay in delays)
    assert all(100 <= verdict_on(Answer(503, retry_after_s=100), 1, 0.0).due_at <= 110 for _ in range(50))


def test_the_whole_schedule_takes_three_days() -> None:
    assert sum(DELAYS_S) / 3600 == pytest.approx(75.6, abs=0.1)
