"""How long a job may execute when it says nothing about that."""

import pytest

from api.__main__ import main
from api.settings import Settings
from api.wiring import time_limit_s


@pytest.mark.parametrize(
    ("given", "lasting", "limit_s"),
    [
        (None, True, 300.0),
        (None, False, None),
        (0, True, None),
        (0, False, None),
        (1500, True, 1.5),
        (1500, False, 1.5),
    ],
)
def test_five_minutes_where_jobs_last(given: int | None, lasting: bool, limit_s: float | None) -> None:
    assert time_limit_s(Settings(job_timeout=given), lasting=lasting) == limit_s


@pytest.mark.parametrize(("mode", "value"), [("true", "300000"), ("false", "–")])
def test_the_settings_printed_are_those_in_force(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mode: str, value: str
) -> None:
    monkeypatch.setenv("HTTP_API_MODE", mode)
    assert main(["settings"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("JOB_TIMEOUT ")]
    assert line.split()[1] == value
