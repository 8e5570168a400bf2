"""Suggestions among names that somebody else has made up, as many and as long as a body allows."""

import time

import pytest

from api.likeness import alike


def test_the_likest_come_first() -> None:
    assert alike("KSamplr", ["SaveImage", "KSamplerAdvanced", "KSampler"], 2, 0.6) == ["KSampler", "KSamplerAdvanced"]


@pytest.mark.parametrize("wanted", ["y" * 100, "y" * 100_000])
def test_many_long_names_take_no_time(wanted: str) -> None:
    names = [f"{number:0100}" for number in range(200_000)]
    began_s = time.process_time()
    assert alike(wanted, names, 3, 0.6) == []
    assert time.process_time() - began_s < 1
