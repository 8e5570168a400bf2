"""Whose turn it is: hosts share what can be sent at once, and a slow one keeps only its own waiting."""

import itertools

import pytest

from api.ids import JobId
from api.jobs.job import Status
from api.jobs.outbox import Delivery
from api.jobs.webhook_lanes import Lanes, host_of

_numbers = itertools.count()


class Now:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def lanes(now: Now) -> Lanes:
    return Lanes(total=6, per_host=2, hold_s=30.0, clock=now)


def to(host: str) -> Delivery:
    return Delivery(f"msg_{next(_numbers)}", JobId("j"), Status.FAILED, f"https://{host}/hook", 0.0, 0.0)


def put(lanes: Lanes, *hosts: str) -> list[Delivery]:
    deliveries = [to(host) for host in hosts]
    for delivery in deliveries:
        lanes.put(delivery)
    return deliveries


def started(lanes: Lanes) -> list[str]:
    return [host_of(delivery.url) for delivery in iter(lanes.take, None)]


def test_a_host_gets_its_share_and_the_others_theirs(lanes: Lanes) -> None:
    put(lanes, "a", "a", "a", "b", "a", "b", "b")
    assert sorted(started(lanes)) == ["a", "a", "b", "b"]


def test_never_more_than_the_total(lanes: Lanes) -> None:
    put(lanes, *"aabbccdd")
    assert len(started(lanes)) == 6
    assert lanes.room() == 0


def test_the_order_within_a_host_is_kept(lanes: Lanes) -> None:
    deliveries = put(lanes, "a", "a", "a")
    assert [lanes.take(), lanes.take()] == deliveries[:2]
    assert lanes.take() is None
    lanes.done(deliveries[1])
    assert lanes.take() == deliveries[2]


def test_nothing_is_claimed_over_what_will_go_soon(lanes: Lanes, now: Now) -> None:
    assert lanes.room() == 6
    put(lanes, "a", "a", "a")
    started(lanes)
    assert (lanes.room(), lanes.holds) == (0, True)
    now.at += 2
    assert lanes.room() == 4, "the host has turned out slow: look past its backlog"


def test_what_waited_too_long_is_let_go(lanes: Lanes, now: Now) -> None:
    deliveries = put(lanes, "a", "a", "a")
    assert started(lanes) == ["a", "a"]
    now.at += 31
    fresh = to("a")
    lanes.put(fresh)
    lanes.done(deliveries[0])
    assert lanes.take() == fresh
    assert not lanes.holds


def test_a_slow_host_keeps_only_so_many_waiting(lanes: Lanes) -> None:
    put(lanes, *["a"] * 500)
    count = 0
    while delivery := lanes.take():
        lanes.done(delivery)
        count += 1
    assert count == 100


@pytest.mark.parametrize("url", ["https://[broken/x", "nonsense", ""])
def test_a_url_without_a_host_has_a_lane_as_well(lanes: Lanes, url: str) -> None:
    assert host_of(url) == ""
    lanes.put(Delivery("msg_x", JobId("j"), Status.FAILED, url, 0.0, 0.0))
    assert started(lanes) == [""]
