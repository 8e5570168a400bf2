"""Histograms: quantiles as exact as promised, and parts that add up to the whole."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from api.jobs.histogram import Histogram

DURATIONS = st.lists(st.floats(0.001, 100_000), min_size=1, max_size=200)


def histogram(seconds: list[float]) -> Histogram:
    made = Histogram()
    for each in seconds:
        made.add(each)
    return made


@given(DURATIONS, st.floats(0, 1))
def test_quantiles_are_within_two_percent(seconds: list[float], share: float) -> None:
    exact = sorted(seconds)[max(math.ceil(share * len(seconds)), 1) - 1]
    found = histogram(seconds).quantile(share)
    assert found is not None
    assert abs(found - exact) <= 0.0201 * exact


@given(DURATIONS, DURATIONS)
def test_parts_add_up(some: list[float], more: list[float]) -> None:
    parts, whole = histogram(some), histogram(some + more)
    parts.merge(histogram(more))
    assert (parts.buckets, parts.largest_s) == (whole.buckets, whole.largest_s)
    assert math.isclose(parts.sum_s, whole.sum_s)


@given(DURATIONS)
def test_what_is_kept_comes_back(seconds: list[float]) -> None:
    made = histogram(seconds)
    again = Histogram.of_json(json.loads(json.dumps(made.as_json())))
    assert (again.count, again.buckets) == (made.count, made.buckets)


def test_an_empty_one_knows_nothing() -> None:
    assert (Histogram().quantile(0.5), Histogram().mean_s, Histogram().count) == (None, None, 0)


def test_a_million_durations_take_a_few_hundred_bytes() -> None:
    made = Histogram(dict.fromkeys(range(-20, 80), 10000))
    assert made.count == 1_000_000
    assert len(json.dumps(made.as_json())) < 2000


def test_odd_durations_are_counted_all_the_same() -> None:
    made = histogram([-1.0, 0.0])
    assert (made.count, made.sum_s, made.quantile(0.5)) == (2, 0.0, 0.0)
