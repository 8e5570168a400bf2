"""The files that a job has made and this machine still has: kept for its result, or copied to the folder of outputs."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ..jobs.job import Job
from ..jobs.results import LISTS, OutputRef
from ..jobs.service import JobService
from ..outputs.naming import job_component


class Made(NamedTuple):
    """One output."""

    path: Path
    filename: str
    sha256: str


def made(service: JobService, job: Job, archive: Path | None = None) -> list[Made]:
    """The outputs in the order of the result; of those that went elsewhere (S3) the copies below `archive`."""
    kept: dict[str, OutputRef] = {}

    def mark(output: OutputRef) -> str:
        kept[f"kept {output.index}"] = output
        return f"kept {output.index}"

    result = service.result(job, mark) or {}
    copies = _copies(job, archive) if archive else {}
    found = (_found(entry, kept, copies) for name in LISTS for entry in result.get(name) or ())
    return [each for each in found if each]


def _found(entry: Mapping[str, Any], kept: Mapping[str, OutputRef], copies: Mapping[int, list[Path]]) -> Made | None:
    output = kept.get(str(entry.get("data", "")))
    if output is not None:
        return Made(output.path, output.filename, output.sha256)
    wanted = entry.get("sha256")
    for path in copies.get(int(entry.get("size_bytes") or 0), ()):
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == wanted:
                return Made(path, str(entry["filename"]), str(wanted))
    return None


def _copies(job: Job, archive: Path) -> dict[int, list[Path]]:
    """What the archive has of the job, by size."""
    days = {datetime.fromtimestamp(at, UTC).date() for at in (job.started_at, job.finished_at) if at is not None}
    found: dict[int, list[Path]] = {}
    for day in days:
        folder = archive / day.isoformat() / job_component(job.id)
        for path in folder.iterdir() if folder.is_dir() else ():
            found.setdefault(path.stat().st_size, []).append(path)
    return found
