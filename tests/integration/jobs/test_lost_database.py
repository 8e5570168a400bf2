"""A start without the database whose jobs' files are there: it is told, and the files are not tidied away."""

import os
import time
from pathlib import Path

import pytest
from support.job_rig import JobRig, job_rig

from api import lasting
from api.job_layer import build_job_layer
from api.jobs.janitor import Janitor
from api.settings import Settings


def is_lost(database: Path, files: Path) -> bool:
    kept = lasting.keep(Settings(sqlite_db_path=database, spool_dir=files))
    try:
        return lasting.has_lost_jobs(kept)
    finally:
        kept.database.close()


def test_folders_of_jobs_beside_an_empty_database_are_noticed(tmp_path: Path) -> None:
    files = tmp_path / "files"
    assert not is_lost(tmp_path / "jobs.db", files)
    with job_rig(tmp_path) as rig:
        rig.submit()
    assert not is_lost(tmp_path / "jobs.db", files)
    assert is_lost(tmp_path / "another.db", files)


def test_the_worker_keeps_them(tmp_path: Path) -> None:
    with job_rig(tmp_path) as rig:
        folder = old_folder(rig)
    layer = build_job_layer(Settings(sqlite_db_path=tmp_path / "another.db", spool_dir=rig.spool.root), {})
    try:
        layer.janitor.sweep()
        assert folder.exists()
    finally:
        layer.close()


@pytest.mark.parametrize("keeps", [True, False])
def test_folders_without_a_job_are_kept_where_the_jobs_may_be_missing(tmp_path: Path, keeps: bool) -> None:
    with job_rig(tmp_path) as rig:
        folder = old_folder(rig)
        janitor = Janitor(
            service=rig.service, spool=rig.spool, lost_after_s=60, keep_s=3600, interval_s=3600, keeps_orphans=keeps
        )
        janitor.sweep()
        assert folder.exists() is keeps


def old_folder(rig: JobRig) -> Path:
    job = rig.submit()
    rig.service.cancel(job.id)
    assert rig.store.delete(job.id)
    folder = rig.spool.folder(job.id)
    os.utime(folder, (before := time.time() - 7200, before))
    return folder
