"""Results put together when they are asked for: the kept JSON, with base64 from files or with links to them."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OutputNotFound, OutputUnavailable
from ..ids import JobId
from .job import Job
from .spool import Spool, kept_path

LISTS = ("images", "videos", "audio", "files")


@dataclass(frozen=True, slots=True)
class OutputRef:
    """One output the worker keeps. `index` counts the kept outputs of the job in the order of its result."""

    job_id: JobId
    index: int
    path: Path
    filename: str
    mime_type: str
    size_bytes: int
    sha256: str

    @property
    def address(self) -> str:
        """Its path in the HTTP API, not percent-encoded."""
        return f"/output/{self.job_id}/{self.index}/{self.filename}"


class Results:
    """Reads what the dispatcher kept."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def whole(self, job: Job, link: Callable[[OutputRef], str] | None = None) -> dict[str, Any] | None:
        """The result dict as the handler gave it; with `link`, entries are `{"type": "url", "data": link(output)}`."""
        result = self._kept(job)
        if result is None:
            return None
        for output, entry in self._entries(job, result):
            if link is None:
                entry["data"] = _encoded(output)
            else:
                entry |= {"type": "url", "data": link(output)}
        return result

    def outputs(self, job: Job) -> list[OutputRef]:
        """The job's kept outputs."""
        result = self._kept(job)
        return [output for output, _ in self._entries(job, result)] if result else []

    def output(self, job: Job, index: int) -> OutputRef:
        """One of them. Raises OutputNotFound when there is none of that number."""
        for output in self.outputs(job):
            if output.index == index:
                return output
        raise OutputNotFound(f"The job {job.id} has no output {index}.")

    def _kept(self, job: Job) -> dict[str, Any] | None:
        return self._spool.result(job.id, job.result_path) if job.result_path else None

    def _entries(self, job: Job, result: dict[str, Any]) -> Iterator[tuple[OutputRef, dict[str, Any]]]:
        entries = (entry for name in LISTS for entry in result.get(name) or ())
        index = 0
        for entry in entries:
            place = kept_path(entry.get("data")) if entry.get("type") == "base64" else None
            if place is None:
                continue
            path = self._spool.folder(job.id) / place
            yield (
                OutputRef(
                    job.id,
                    index,
                    path,
                    entry["filename"],
                    entry["mime_type"],
                    entry["size_bytes"],
                    entry["sha256"],
                ),
                entry,
            )
            index += 1


def _encoded(output: OutputRef) -> str:
    try:
        return base64.b64encode(output.path.read_bytes()).decode("ascii")
    except OSError as error:
        raise OutputUnavailable(f"The output {output.filename} of job {output.job_id} is no longer kept.") from error
