"""Fault values: parsing, counting down, endpoints."""

import pytest

from api.standin.faults import Faults, UnknownFault, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("oom", ("oom", "on")),
        ("oom=2", ("oom", "2")),
        ("http_500=/view:3", ("http_500", "/view:3")),
        ("oom=", ("oom", "")),
    ],
)
def test_parse(text: str, expected: tuple[str, str]):
    assert parse(text) == expected


def test_on_stays_on_and_off_is_off():
    faults = Faults({"oom": "on"})
    assert [faults.take("oom") for _ in range(3)] == [True] * 3
    faults.set("oom", "off")
    assert not faults.take("oom")
    assert faults.active() == {}


def test_a_number_counts_down():
    faults = Faults({"view_404": "2"})
    assert [faults.take("view_404") for _ in range(3)] == [True, True, False]


def test_an_endpoint_is_a_prefix_with_or_without_api():
    faults = Faults({"http_500": "/history:2"})
    assert not faults.take_for("http_500", "/queue")
    assert faults.take_for("http_500", "/api/history/x")
    assert faults.take_for("http_500", "/history")
    assert not faults.take_for("http_500", "/history")


def test_a_star_is_every_endpoint():
    assert Faults({"http_hang": "*"}).take_for("http_hang", "/anything")


def test_limits():
    faults = Faults({"truncate_view": "100:2"})
    assert [faults.take_limit("truncate_view") for _ in range(3)] == [100, 100, None]
    assert Faults({"truncate_view": 7}).take_limit("truncate_view") == 7


def test_zero_is_a_value():
    assert Faults({"exit_code": "0"}).value("exit_code") == 0


def test_unknown_names_are_refused():
    with pytest.raises(UnknownFault):
        Faults({"no_such": "on"})
