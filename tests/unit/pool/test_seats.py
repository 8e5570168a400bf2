"""Room in the pool: taken before a job is claimed, and never more than there is."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.fleet import Fleet, job

from api.errors import ComfyBusy, ComfyUnreachable, JobCancelled
from api.jobs.cancel import CancelToken
from api.pool.needs import Offers
from api.pool.pool import Pool
from api.pool.roster import Roster
from api.pool.seats import Seat
from api.pool.ticket import Ticket


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    for name in ("one", "two"):
        made.add(name)
    yield made
    made.close()


@pytest.fixture
def pool(fleet: Fleet) -> Pool:
    return Pool(Roster(fleet.members), patience_s=0.05)


def test_there_are_as_many_seats_as_slots(pool: Pool) -> None:
    seats = [pool.take(0) for _ in range(4)]
    assert None not in seats and pool.take(0) is None
    seats[0].leave()  # type: ignore[union-attr]
    seats[0].leave()  # type: ignore[union-attr]
    assert pool.take(0) is not None and pool.take(0) is None


@pytest.mark.parametrize("count", [1, 2])
def test_jobs_whose_inputs_are_slow_keep_no_slot_from_others_and_wait_for_one_then(fleet: Fleet, count: int) -> None:
    now = 0.0
    pool = Pool(Roster(fleet.members[:count]), clock=lambda: now)
    slow = [pool.take(0) for _ in range(2 * count)]
    assert pool.take(0) is None
    now = 1.5
    quick = [pool.take(0) for _ in range(2 * count)]
    assert None not in (*slow, *quick)
    for seat in quick:
        pool.place(Ticket(job(), CancelToken()), seat)
    token = CancelToken()
    threading.Timer(0.1, token.cancel).start()
    with pytest.raises(JobCancelled):
        pool.place(Ticket(job(), token), slow[0])
    assert all(len(member.tickets) == 2 for member in fleet.members[:count])


def test_jobs_whose_inputs_are_there_keep_their_turn_however_many_wait(fleet: Fleet) -> None:
    """They wait because all are busy: back in the line they would only fetch their inputs once more."""
    now, sole = 0.0, fleet.members[0]
    sole.slots = 1
    pool = Pool(Roster([sole]), clock=lambda: now)
    seats = []
    while seat := pool.take(0):
        seats.append(seat)
        now += 1.5
    assert len(seats) == pool.most() == 4
    tickets = [Ticket(job(), CancelToken()) for _ in seats]
    pool.place(tickets[0], seats[0])
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(pool.place, *each) for each in zip(tickets[1:], seats[1:], strict=True)]
        for before, turn in zip(tickets, waiting, strict=False):
            assert sole.tickets == [before] and pool.take(0) is None
            pool.release(before)
            assert turn.result(5) is sole


def test_of_many_that_wait_for_one_of_several_the_last_goes_back_into_the_line(fleet: Fleet) -> None:
    busy, other = fleet.members
    busy.label, busy.slots, other.slots = "big", 0, 1
    pool, token = Pool(Roster(fleet.members)), CancelToken()
    tickets = [Ticket(job(), token, label="big") for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(pool.place, ticket, Seat(lambda _seat: None)) for ticket in tickets]
        with pytest.raises(ComfyBusy, match="The job waits for one"):
            waiting[2].result(5)
        assert not (waiting[0].done() or waiting[1].done())
        token.cancel()


def test_a_job_that_executes_no_more_makes_room_before_it_has_ended(pool: Pool) -> None:
    seats = [pool.take(0) for _ in range(4)]
    tickets = [Ticket(job(), CancelToken()) for _ in seats]
    for seat, ticket in zip(seats, tickets, strict=True):
        pool.place(ticket, seat)
    assert pool.take(0) is None
    pool.release(tickets[0])
    assert pool.take(0) is not None


def test_jobs_in_hand_may_be_bounded(fleet: Fleet) -> None:
    pool = Pool(Roster(fleet.members), max_jobs=3)
    assert [pool.take(0) is not None for _ in range(4)] == [True, True, True, False]
    assert pool.most() == 3


def test_those_that_are_ill_or_drained_have_no_room(fleet: Fleet, pool: Pool) -> None:
    fleet.members[0].is_ready = False
    fleet.members[1].is_draining = True
    assert pool.take(0) is None
    assert not pool.available()
    fleet.members[1].is_draining = False
    assert pool.available() and not pool.available(besides=fleet.members[1].name)


def test_a_job_only_an_absent_one_can_run_goes_back_into_the_line(fleet: Fleet, pool: Pool) -> None:
    fleet.members[0].offers = Offers({"Other": {}})
    fleet.members[1].is_ready, fleet.members[1].trouble = False, "It is on fire."
    seat = pool.take(0)
    with pytest.raises(ComfyBusy, match=r"The job waits for two \(It is on fire\)\."):
        pool.place(Ticket(job(), CancelToken()), seat)


def test_without_a_line_to_go_back_to_it_waits_for_a_while(fleet: Fleet, pool: Pool) -> None:
    for member in fleet.members:
        member.is_ready = False
    with pytest.raises(ComfyUnreachable, match="The job waits for one"):
        pool.place(Ticket(job(), CancelToken()), None)


def test_a_cancel_ends_the_wait(fleet: Fleet, pool: Pool) -> None:
    token = CancelToken()
    for member in fleet.members:
        member.is_ready = False
    token.cancel()
    with pytest.raises(JobCancelled):
        pool.place(Ticket(job(), token), None)


def test_a_worker_that_stops_turns_waiting_jobs_away(fleet: Fleet, pool: Pool) -> None:
    seat = pool.take(0)
    for member in fleet.members:
        member.slots = 0
    pool.hand_back_waiting()
    with pytest.raises(ComfyBusy):
        pool.place(Ticket(job(), CancelToken()), seat)
    assert pool.take(0) is None


def test_the_only_one_takes_what_comes(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    sole = fleet.add("sole", slots=1)
    sole.is_ready = False
    pool = Pool(Roster([sole]))
    try:
        assert [pool.place(Ticket(job(), CancelToken()), None) for _ in range(3)] == [sole] * 3
    finally:
        fleet.close()


def test_a_prompt_of_an_earlier_worker_on_one_that_was_removed_meanwhile_is_run_elsewhere(fleet: Fleet) -> None:
    roster = Roster(fleet.members)
    pool = Pool(roster, patience_s=0.05)
    gone, other = fleet.members
    ticket = Ticket(job(), CancelToken(), pinned=gone)
    roster.remove(gone.name)
    assert pool.place(ticket, pool.take(0)) is other
