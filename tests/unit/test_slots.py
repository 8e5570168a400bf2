"""How many jobs a worker takes at a time, by how long the last ones executed."""

from collections.abc import Iterable

import pytest

from api.jobs.events import StageFinished
from api.slots import Slots


def after(executed_s: Iterable[float], fixed: int | None = None) -> Slots:
    slots = Slots(fixed)
    for seconds in executed_s:
        slots.note(StageFinished("execute", seconds))
    return slots


@pytest.mark.parametrize(
    ("executed_s", "count"),
    [
        ([], 2),
        ([0.5] * 3, 2),
        ([0.5] * 4, 4),
        ([0.5, 0.5, 2.5, 0.5, 0.5, 0.5], 2),
        ([0.5, 0.5, 2.5, 0.5, 0.5, 0.5, 0.5], 4),
        ([2.0] * 10, 2),
        ([0.5] * 4 + [30] * 2, 4),
        ([0.5] * 4 + [30] * 3, 2),
        ([0.5] * 4 + [30] * 3 + [0.5] * 4, 4),
    ],
)
def test_more_for_short_jobs_and_back_for_long_ones(executed_s: list[float], count: int) -> None:
    assert after(executed_s).count == count
    assert after(executed_s).most == 4


@pytest.mark.parametrize("fixed", [1, 3, 8])
def test_what_is_set_is_exact(fixed: int) -> None:
    slots = after([0.1] * 10, fixed)
    assert (slots.count, slots.most) == (fixed, fixed)


def test_only_the_execution_counts() -> None:
    slots = Slots(None)
    for stage in ("wait", "upload", "download", "deliver") * 4:
        slots.note(StageFinished(stage, 0.1))
    assert slots.count == 2
