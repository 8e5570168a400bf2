"""The backup of docs/operating.md, run as it stands there beside a database that is open and written to."""

import os
import re
import sqlite3
import subprocess
import tarfile
from pathlib import Path

from api.sealing import load_key
from api.stores.sqlite import SqliteDatabase

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")


def test_the_backup_has_what_is_not_yet_in_the_databases_own_file(tmp_path: Path) -> None:
    section = PAGE.split("\n## Backup\n")[1]
    [recipe] = re.findall(r"```bash\ncd .*?\n(.*?)```", section, re.DOTALL)
    path, copy = tmp_path / "jobs.db", tmp_path / "backup"
    key = load_key(tmp_path / "jobs.db.files" / "key")
    (tmp_path / "jobs.db.files" / "jobs" / "ab").mkdir(parents=True)
    (tmp_path / "jobs.db.files" / "jobs" / "ab" / "request.json").write_text("{}")
    database = SqliteDatabase(path)
    try:
        alone = path.read_bytes()
        environment = {"DB": path.name, "TO": str(copy), "PATH": os.environ["PATH"]}
        subprocess.run(["bash", "-euc", recipe], cwd=tmp_path, env=environment, check=True)
    finally:
        database.close()

    assert "jobs" in tables(copy / "jobs.db")
    (tmp_path / "alone.db").write_bytes(alone)
    assert "jobs" not in tables(tmp_path / "alone.db"), "the plain copy would do"
    with tarfile.open(copy / "files.tar") as files:
        assert files.extractfile("jobs.db.files/key").read() == key  # type: ignore[union-attr]
        assert "jobs.db.files/jobs/ab/request.json" in files.getnames()
    assert (copy / "files.tar").stat().st_mode & 0o077 == 0


def tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    finally:
        connection.close()
