"""One file of the gallery as lists show it, and what lists are asked for."""

from dataclasses import dataclass
from typing import NamedTuple, Self

from .sidecar import Sidecar, Source
from .words import checkpoints, prompt

_SCALE = 1_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """`number` orders all of them: the microsecond it was made, or the next one that is free. `sha256` is its id."""

    number: int
    sha256: str
    extension: str
    day: str
    filename: str
    media_type: str
    size_bytes: int
    width: int | None
    height: int | None
    created_at: float
    source: Source
    prompt_id: str | None
    job_id: str | None
    workflow_name: str | None
    checkpoints: tuple[str, ...]
    prompt: str | None
    deleted_until: float | None

    @property
    def kind(self) -> str:
        """image, video or audio."""
        return self.media_type.partition("/")[0]

    @classmethod
    def of(cls, sidecar: Sidecar, day: str) -> Self:
        """What a sidecar in the folder of that day says."""
        file = sidecar.file
        return cls(
            number=int(file.created_at * _SCALE),
            sha256=sidecar.sha256,
            extension=file.extension,
            day=day,
            filename=file.filename,
            media_type=file.media_type,
            size_bytes=file.size_bytes,
            width=file.width,
            height=file.height,
            created_at=file.created_at,
            source=sidecar.source,
            prompt_id=sidecar.prompt_id,
            job_id=sidecar.job_ids[-1] if sidecar.job_ids else None,
            workflow_name=sidecar.workflow_name,
            checkpoints=checkpoints(sidecar.workflow),
            prompt=prompt(sidecar.workflow),
            deleted_until=sidecar.deleted_until,
        )


class Wanted(NamedTuple):
    """Which to list; None is any. `query` is one of FTS5, sizes are in pixels and inclusive."""

    query: str = ""
    day: str | None = None
    workflow_name: str | None = None
    checkpoint: str | None = None
    kind: str | None = None
    source: Source | None = None
    min_width: int | None = None
    max_width: int | None = None
    min_height: int | None = None
    max_height: int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are of something: a day, a workflow, a checkpoint."""

    name: str
    count: int
