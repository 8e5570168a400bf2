"""Where the numbers of ended jobs last: what is added adds up, from several processes too, and old hours go."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete
from support.job_stores import open_database

from api.ids import JobId
from api.jobs.durations import Durations
from api.jobs.ends import ALL_TIME, HOUR_S, Ends, Run, Series
from api.jobs.job import Job, JobError, Status
from api.jobs.statistics import Ledger
from api.stores import tables
from api.stores.metrics import SqlLedger
from api.stores.metrics_file import FileLedger

HOUR = 1_700_000_000 // HOUR_S * HOUR_S
DONE = Job(JobId("1"), HOUR + 1.0, status=Status.SUCCEEDED, started_at=HOUR + 3.0, finished_at=HOUR + 9.0, shape="a:1")
FAILED = replace(DONE, status=Status.FAILED, error=JobError("COMFY_DIED", "It died."))
RUN = Run({"wait": 1.0, "execute": 4.0, "deliver": 0.5})


@contextmanager
def opened_ledger(address: str) -> Iterator[Ledger]:
    if address.endswith(".json"):
        yield FileLedger(Path(address))
        return
    database = open_database(address)
    try:
        yield SqlLedger(database)
    finally:
        database.close()


@pytest.fixture(params=["sqlite", "postgres", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of an empty ledger."""
    if request.param != "postgres":
        yield str(tmp_path / ("metrics.json" if request.param == "file" else "jobs.db"))
        return
    url: str = request.getfixturevalue("migrated_url")
    yield url
    database = open_database(url)
    for table in (tables.ends, tables.durations):
        database.write(lambda connection, table=table: connection.execute(delete(table)))
    database.close()


def line(*jobs: Job, hour: int = HOUR, workflow: str = "x") -> dict[Series, Ends]:
    ends = Ends()
    for job in jobs:
        ends.add(job, RUN)
    return {Series(hour, workflow, "a:1"): ends}


def learned(*seconds: float) -> Durations:
    durations = Durations()
    for each in seconds:
        durations.note(DONE, Run({"execute": each}))
    return durations


def test_what_is_added_adds_up(place: str) -> None:
    with opened_ledger(place) as ledger:
        ledger.add(line(DONE), {})
        ledger.add({**line(DONE, FAILED), **line(DONE, hour=ALL_TIME)}, {})
    with opened_ledger(place) as ledger:
        found = dict(ledger.ends(HOUR))
    ends = found[Series(HOUR, "x", "a:1")]
    assert (dict(ends.by_status), dict(ends.by_error)) == ({"succeeded": 2, "failed": 1}, {"COMFY_DIED": 1})
    assert (ends.busy_s, ends.first_at, ends.times["wait"].count) == (12.0, HOUR + 1.0, 2)
    assert ends.times["total"].quantile(0.5) == pytest.approx(8.0, rel=0.02)
    assert found[Series(ALL_TIME, "x", "a:1")].by_status["succeeded"] == 1


def test_nobody_changes_what_is_kept_from_outside(place: str) -> None:
    with opened_ledger(place) as ledger:
        mine = line(DONE)
        ledger.add(mine, {})
        for found in (*mine.values(), *dict(ledger.ends(0)).values()):
            found.add(DONE, None)
        assert [ends.by_status["succeeded"] for _, ends in ledger.ends(0)] == [1]


def test_old_hours_go_and_all_time_stays(place: str) -> None:
    with opened_ledger(place) as ledger:
        for hour in (ALL_TIME, HOUR - 2 * HOUR_S, HOUR - HOUR_S, HOUR):
            ledger.add(line(DONE, hour=hour), {})
        assert {series.hour for series, _ in ledger.ends(HOUR)} == {ALL_TIME, HOUR}
        ledger.prune(HOUR - HOUR_S)
        assert {series.hour for series, _ in ledger.ends(0)} == {ALL_TIME, HOUR - HOUR_S, HOUR}


def test_durations_come_back_and_grow_no_further(place: str) -> None:
    with opened_ledger(place) as ledger:
        for _ in range(3):
            known = ledger.add({}, learned(*[1.0] * 20).take_news())
        known = ledger.add({}, learned(5.0).take_news())
        assert [len(experience.samples) for experience in known.values()] == [32] * len(known)
    again = Durations()
    with opened_ledger(place) as ledger:
        kept = ledger.experience()
        again.know(kept)
    assert kept["shape:a"].samples[-1].execute_s == 5.0
    found = again.expected("a:1")
    assert found is not None and found.execute_s == 1.0


def test_several_processes_add_to_one_database(place: str) -> None:
    if place.endswith(".json"):
        pytest.skip("a file has one writer")

    def add() -> None:
        with opened_ledger(place) as ledger:
            for number in range(10):
                ledger.add({**line(DONE), **line(DONE, workflow="y")}, learned(float(number)).take_news())

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with opened_ledger(place) as ledger:
        assert [ends.by_status["succeeded"] for _, ends in ledger.ends(0)] == [40, 40]
        assert len(ledger.experience()["*"].samples) == 32


def test_a_file_that_is_broken_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text('{"ends": [[')
    ledger = FileLedger(path)
    assert list(ledger.ends(0)) == []
    ledger.add(line(DONE), {})
    assert len(list(FileLedger(path).ends(0))) == 1
    assert (tmp_path / "metrics.json.broken").read_text() == '{"ends": [['
    assert sorted(each.name for each in tmp_path.iterdir()) == ["metrics.json", "metrics.json.broken"]
