"""The outputs of all jobs as one list, under names that can stand in an address. Knows no route."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ..errors import JobNotFound
from ..ids import JobId
from .job import TERMINAL, Job
from .results import LISTS, OutputRef
from .service import JobService
from .store import Cursor, JobFilter

_PAGE = 100
# Jobs without outputs that are gone through before a listing is given up.
_SEEN_JOBS = 2000
_KNOWN_JOBS = 1000


@dataclass(frozen=True, slots=True)
class Made:
    """One output: `kept` by the worker, or to be had at `url`. `name` is its own among those of all jobs."""

    name: str
    job_id: JobId
    filename: str
    size_bytes: int
    made_at: float
    kept: OutputRef | None
    url: str | None


class Gallery:
    """Reads results, and remembers what it found in them: a result never changes. Safe to share between threads."""

    def __init__(self, service: JobService) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[JobId, str], tuple[Made, ...]] = OrderedDict()

    def of(self, job: Job) -> tuple[Made, ...]:
        """The outputs of a job in the order of its result; none before it has ended."""
        if not job.is_terminal or job.result_path is None:
            return ()
        key = (job.id, f"{job.result_path} {job.finished_at}")
        with self._lock:
            made = self._known.get(key)
        if made is None:
            made = tuple(self._read(job))
            with self._lock:
                self._known[key] = made
                while len(self._known) > _KNOWN_JOBS:
                    self._known.popitem(last=False)
        return made

    def newest(self, limit: int) -> list[Made]:
        """The newest outputs, those of one job in the order of its result."""
        made: list[Made] = []
        cursor: Cursor | None = None
        for _ in range(_SEEN_JOBS // _PAGE):
            page = self._service.list(JobFilter(statuses=TERMINAL), _PAGE, cursor)
            for job in page.jobs:
                made += self.of(job)
                if len(made) >= limit:
                    return made[:limit]
            cursor = page.next
            if cursor is None:
                break
        return made

    def find(self, name: str) -> OutputRef:
        """The kept output of that name. Raises JobNotFound."""
        job_id, separator, rest = name.partition("_")
        if separator and rest:
            for made in self.of(self._service.get(JobId(job_id))):
                if made.name == name and made.kept:
                    return made.kept
        raise JobNotFound(f"There is no output {name[:200]!r}; /v1/comfyui/outputs lists those there are.")

    def _read(self, job: Job) -> Iterator[Made]:
        kept: dict[str, OutputRef] = {}

        def mark(output: OutputRef) -> str:
            token = f"kept {output.index}"
            kept[token] = output
            return token

        names: set[str] = set()
        for number, entry in enumerate(_entries(self._service.result(job, mark) or {})):
            data = str(entry.get("data", ""))
            output = kept.get(data)
            if output is None and not data.startswith(("http://", "https://")):
                continue
            name = _name(job.id, str(entry["filename"]), number, names)
            names.add(name)
            size_bytes = int(entry.get("size_bytes") or 0)
            url = None if output else data
            yield Made(name, job.id, str(entry["filename"]), size_bytes, job.finished_at or 0.0, output, url)


def _entries(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in LISTS:
        yield from result.get(name) or ()


def _name(job_id: JobId, filename: str, number: int, taken: set[str]) -> str:
    """Nodes may give the same name in different subfolders: from the second on the number is part of it."""
    base = PurePosixPath(filename).name or "output"
    name = f"{job_id}_{base}"
    while name in taken:
        name = f"{job_id}_{number}_{base}"
        base = f"_{base}"
    return name
