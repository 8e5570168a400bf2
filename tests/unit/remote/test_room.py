"""Room at a remote endpoint: when it gives seats, and how it comes back after jobs have failed there."""

import pytest

from api.breaker import Breaker
from api.errors import ComfyBusy, ComfyUnreachable, ExecutionFailed, InputTooLarge, TargetRefused
from api.ids import InstanceName
from api.remote.room import Room

AWAY = ComfyUnreachable("It is away.")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def room(clock: Clock) -> Room:
    made = Room(InstanceName("there"), 3, Breaker(2, 10.0, clock), clock)
    made.note_answer()
    return made


def test_there_is_no_seat_before_it_has_answered(clock: Clock) -> None:
    room = Room(InstanceName("there"), 3, Breaker(2, 10.0, clock), clock)
    assert room.take(0.0) is None
    room.note_miss(AWAY)
    assert room.facts()["reason"] == "It is away."
    room.note_answer()
    assert room.take(0.0) is not None
    assert "reason" not in room.facts()


def test_as_many_seats_as_jobs_are_allowed(room: Room) -> None:
    seats = [room.take(0.0) for _ in range(3)]
    assert all(seats)
    assert room.take(0.0) is None
    assert not room.available()
    seats[0].leave()  # type: ignore[union-attr]
    seats[0].leave()  # type: ignore[union-attr]
    assert room.available()
    assert not room.available(besides=InstanceName("there"))
    assert room.most() == 3


def test_jobs_that_fail_by_themselves_say_nothing_against_it(room: Room) -> None:
    for _ in range(5):
        room.note_run(ExecutionFailed("a node broke"))
        room.note_run(ComfyBusy("full"))
    assert room.facts()["status"] == "healthy"


def test_runs_it_loses_close_it_and_one_job_decides_whether_it_opens(room: Room, clock: Clock) -> None:
    looks: list[str] = []
    room.on_trouble = lambda: looks.append("now")
    room.note_run(AWAY)
    assert room.available()
    room.note_run(AWAY)
    assert not room.available()
    assert looks == ["now"]
    room.note_answer()
    assert room.facts()["breaker"] == "open", "its looks went well all the time"
    clock.now = 10.0
    room.note_answer()
    assert room.facts()["breaker"] == "half_open"
    trial = room.take(0.0)
    assert trial is not None
    assert room.take(0.0) is None, "one job is the trial"
    room.note_run(AWAY)
    trial.leave()
    clock.now = 20.0
    room.note_answer()
    assert room.facts()["breaker"] == "open", "a failed trial doubles the pause"
    clock.now = 30.0
    room.note_answer()
    room.note_run(InputTooLarge("nothing was sent"))
    assert room.facts()["breaker"] == "half_open"
    room.note_run(None)
    assert room.facts()["breaker"] == "closed"
    assert all(room.take(0.0) for _ in range(3))


def test_looks_that_fail_close_it_until_one_goes_well(room: Room) -> None:
    room.note_miss(AWAY)
    assert room.available()
    room.note_miss(AWAY)
    assert not room.available()
    assert room.facts()["reason"] == "It is away."
    room.note_answer()
    assert room.available()


def test_a_refusal_closes_it_at_once(room: Room) -> None:
    room.note_run(TargetRefused("The key is wrong."))
    assert not room.available()
    assert room.facts()["reason"] == "The key is wrong."
    room.note_answer()
    assert room.available()


def test_it_rests_for_as_long_as_it_asked(room: Room, clock: Clock) -> None:
    room.rest(5.0)
    assert not room.available()
    clock.now = 5.0
    assert room.available()
