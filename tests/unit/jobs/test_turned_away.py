"""Labels whose jobs were turned away: left alone for longer each time, and only for a while."""

from support.job_stores import Clock

from api.jobs.turned_away import TurnedAway


def rest_s(away: TurnedAway, clock: Clock) -> float:
    """How long the label is left alone from now on, to the half second."""
    began = clock()
    while away.labels():
        clock.tick(0.5)
    return clock() - began


def test_each_time_in_a_row_it_is_left_alone_longer_to_a_limit() -> None:
    clock = Clock()
    away = TurnedAway(clock)
    found = []
    for _ in range(5):
        for _job in range(3):  # those that were under way count once
            away.note("fast")
        found.append(rest_s(away, clock))
    assert found == [1, 2, 2, 2, 2]


def test_once_a_job_has_run_it_begins_anew() -> None:
    clock = Clock()
    away = TurnedAway(clock)
    away.note("fast")
    away.note("slow")
    assert away.labels() == ["fast", "slow"]
    away.forget("fast")
    assert away.labels() == ["slow"]
    away.forget("never seen")
    away.note("fast")
    assert rest_s(away, clock) == 1
