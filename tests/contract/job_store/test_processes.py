"""The job store among processes: nothing is claimed twice, lost, or seen half-written."""

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.job_stores import Stores, opened

from api.errors import StoreUnavailable
from api.jobs.job import Status
from api.jobs.store import JobFilter
from api.stores.job_store import SqlJobStore
from api.stores.sqlite import SqliteDatabase

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def process(role: str, address: str) -> Iterator[subprocess.Popen[str]]:
    script = ROOT / "tests/support/store_process.py"
    env = dict(os.environ, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, str(script), role, address], env=env, **pipes) as child:
        try:
            yield child
        finally:
            child.kill()


def go(*children: subprocess.Popen[str]) -> list[list[str]]:
    """Start all at the same moment, once all are ready; what each then said."""
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    return [child.communicate()[0].split() for child in children]


def test_two_processes_never_claim_the_same_job(stores: Stores) -> None:
    added = {stores.add().id for _ in range(500)}
    with process("claim", stores.address) as one, process("claim", stores.address) as two:
        first, second = go(one, two)
    assert first
    assert second
    assert sorted(first + second) == sorted(added)
    assert stores.jobs.counts()[Status.SUCCEEDED] == 500


def test_a_process_killed_inside_a_transaction_leaves_nothing_of_it(stores: Stores) -> None:
    with process("die", stores.address) as child:
        out, _ = child.communicate()
        assert child.returncode == -9
    kept = [job.id for job in stores.jobs.list(JobFilter(), 10).jobs]
    assert kept == out.split()
    stores.add()
    assert stores.jobs.counts()[Status.QUEUED] == 2


def test_what_was_acknowledged_before_a_kill_is_kept(stores: Stores) -> None:
    with process("add", stores.address) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline().strip() for _ in range(50)]
        child.kill()
        acknowledged += child.stdout.read().split()
    kept = {job.id for job in stores.jobs.list(JobFilter(), 100_000).jobs}
    assert set(acknowledged) <= kept
    assert len(kept) <= len(acknowledged) + 1  # the one that was committed and not told


def test_processes_may_make_the_same_new_file_together(tmp_path: Path) -> None:
    address = str(tmp_path / "new" / "jobs.db")
    with process("open", address) as a, process("open", address) as b, process("open", address) as c:
        assert go(a, b, c) == [["0"], ["0"], ["0"]]


def test_a_backup_that_reads_for_long_stops_nobody(tmp_path: Path) -> None:
    with opened(str(tmp_path / "jobs.db")) as stores:
        first = stores.add()
        backup = sqlite3.connect(stores.address, isolation_level=None)
        backup.execute("BEGIN")
        assert backup.execute("SELECT id FROM jobs").fetchall() == [(first.id,)]
        stores.add()
        assert stores.jobs.claim("w") is not None
        stores.jobs.compact()
        assert len(backup.execute("SELECT id FROM jobs").fetchall()) == 1
        backup.close()
        assert len(stores.jobs.list(JobFilter(), 10).jobs) == 2


def test_a_disk_without_room_for_the_files_beside_it_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    SqliteDatabase(path).close()
    ended = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys; from pathlib import Path; from api.stores.sqlite import SqliteDatabase\n"
            "try: SqliteDatabase(Path(sys.argv[1]))\n"
            "except Exception as error: print(type(error).__name__)",
            str(path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert ended.stdout == "DiskFull\n"


def test_a_locked_file_is_waited_for_then_told(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with opened(str(path)) as stores:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        impatient = SqliteDatabase(path, busy_timeout_s=0.05)
        with capture_logs() as logs:
            for _ in range(3):
                with pytest.raises(StoreUnavailable, match="locked"):
                    SqlJobStore(impatient, stores.clock).ping()
            other.execute("COMMIT")
            SqlJobStore(impatient, stores.clock).ping()
        told = [(line["event"], line["database"], line.get("times")) for line in logs]
        assert told == [
            ("A database is locked by another process", str(path), None),
            ("The database is free again", str(path), 3),
        ]
        impatient.close()
        other.close()
