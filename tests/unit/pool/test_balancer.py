"""Which ComfyUI gets which job, as a pure decision."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fleet import NOW, Fleet, job, put, ticket

from api.breaker import Cause
from api.pool.needs import Offers


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.close()


def test_an_idle_one_is_better_than_one_with_work(fleet: Fleet) -> None:
    busy, idle = fleet.add("busy"), fleet.add("idle")
    put(busy, begun=NOW)
    assert list(fleet.assign(ticket()).values()) == [idle.name]


def test_equals_are_given_the_same(fleet: Fleet) -> None:
    one, two = fleet.add("one"), fleet.add("two")
    one.given = 3
    assert list(fleet.assign(ticket()).values()) == [two.name]
    two.given = 4
    assert list(fleet.assign(ticket()).values()) == [one.name]


def test_weight_counts_among_equals(fleet: Fleet) -> None:
    light, heavy = fleet.add("light"), fleet.add("heavy", weight=3.0)
    light.given, heavy.given = 1, 2
    assert list(fleet.assign(ticket()).values()) == [heavy.name]


def test_a_job_goes_where_its_model_is(fleet: Fleet) -> None:
    a, b = fleet.add("a"), fleet.add("b")
    put(a, job("x.safetensors"), begun=NOW)
    put(b, job("y.safetensors"), begun=NOW)
    x, y = ticket(job("x.safetensors")), ticket(job("y.safetensors"))
    assert fleet.assign(y, x) == {x: a.name, y: b.name}


def test_it_waits_for_its_model_rather_than_put_out_another(fleet: Fleet) -> None:
    a, b = fleet.add("a", slots=1), fleet.add("b", slots=1)
    x, y = job("x.safetensors"), job("y.safetensors")
    for member, needs in ((a, x), (b, y)):
        fleet.took(member, 10, needs, cold=True)
        fleet.took(member, 1, needs)
    put(a, x, begun=NOW)
    b.models = y.models
    for_x, for_y = ticket(x), ticket(y)
    assert fleet.assign(for_x, for_y) == {for_y: b.name}


def test_one_behind_all_that_may_wait_takes_what_is_idle(fleet: Fleet) -> None:
    a, b = fleet.add("a", slots=1), fleet.add("b", slots=1)
    x, y = job("x.safetensors"), job("y.safetensors")
    fleet.took(a, 10, x, cold=True)
    fleet.took(a, 1, x)
    put(a, x, begun=NOW)
    b.models = y.models
    tickets = [ticket(x) for _ in range(3)]
    assert fleet.assign(*tickets, patient=2) == {tickets[2]: b.name}


def test_a_slow_one_is_given_little(fleet: Fleet) -> None:
    slow, fast = fleet.add("slow"), fleet.add("fast")
    fleet.took(slow, 10, job())
    fleet.took(fast, 1, job())
    put(fast, begun=NOW - 0.5)
    assert list(fleet.assign(ticket()).values()) == [fast.name]


def test_a_run_that_takes_longer_than_ever_is_not_about_to_end(fleet: Fleet) -> None:
    stuck, slow = fleet.add("stuck"), fleet.add("slow")
    fleet.took(stuck, 1, job())
    fleet.took(slow, 5, job())
    put(stuck, begun=NOW - 0.9)
    assert list(fleet.assign(ticket()).values()) == [stuck.name]
    stuck.tickets[0].began_at = NOW - 100
    assert list(fleet.assign(ticket()).values()) == [slow.name]


def test_one_that_has_just_failed_is_the_second_choice(fleet: Fleet) -> None:
    failed, fine = fleet.add("failed"), fleet.add("fine")
    fine.given = 100
    failed.breaker.fail(Cause.RUN, "x")
    assert list(fleet.assign(ticket()).values()) == [fine.name]


def test_prompts_of_others_are_waited_for(fleet: Fleet) -> None:
    shared, own = fleet.add("shared"), fleet.add("own")
    own.given, shared.queue_remaining = 100, 3
    assert list(fleet.assign(ticket()).values()) == [own.name]


def test_a_job_goes_nowhere_where_what_it_needs_is_missing(fleet: Fleet) -> None:
    without, unknown = fleet.add("without"), fleet.add("unknown")
    unknown.given, without.offers = 100, Offers({"Other": {}})
    assert list(fleet.assign(ticket()).values()) == [unknown.name]
    unknown.is_draining = True
    assert fleet.assign(ticket()) == {}


def test_what_waits_inside_is_moved_to_one_that_is_free(fleet: Fleet) -> None:
    busy, _free = fleet.add("busy"), fleet.add("free")
    put(busy, begun=NOW)
    waiting = put(busy)
    assert fleet.moves() == [waiting]


def test_what_executes_or_is_recalled_already_stays(fleet: Fleet) -> None:
    busy, _free = fleet.add("busy"), fleet.add("free")
    put(busy, begun=NOW)
    assert fleet.moves() == []
    put(busy).leash.recall.cancel()
    assert fleet.moves() == []


def test_a_move_to_a_slow_one_that_wins_nothing_is_not_made(fleet: Fleet) -> None:
    fast, slow = fleet.add("fast"), fleet.add("slow")
    fleet.took(fast, 1, job())
    fleet.took(slow, 10, job())
    put(fast, begun=NOW)
    put(fast)
    assert fleet.moves() == []


def test_nothing_is_moved_to_one_that_has_just_become_free(fleet: Fleet) -> None:
    busy, free = fleet.add("busy"), fleet.add("free")
    put(busy, begun=NOW)
    put(busy)
    free.idle_since = NOW - 0.01
    assert fleet.moves() == []


def test_a_drained_one_gives_up_what_waits_there_at_any_price(fleet: Fleet) -> None:
    drained, slow = fleet.add("drained"), fleet.add("slow")
    fleet.took(slow, 100, job())
    put(drained, begun=NOW)
    waiting = put(drained)
    drained.is_draining = True
    assert fleet.moves() == [waiting]
