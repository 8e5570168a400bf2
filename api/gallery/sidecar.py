"""What is known of one file of the gallery, as the JSON that lies beside it. The sidecars are the truth of it all."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

_VERSION = 1
# Of one content that comes again and again: each time all of it is read and written.
_MOST_ALSO = 200
_MOST_JOBS = 1000
_STAMP = ("at", "filename")


class Source(StrEnum):
    """How a file came here. Generated: as the output of a job. Ingested: somebody sent it in, to be kept."""

    GENERATED = "generated"
    INGESTED = "ingested"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """`filename` is its sender's name for it, made safe; width and height are None for what is no picture."""

    filename: str
    extension: str
    media_type: str
    size_bytes: int
    width: int | None
    height: int | None
    created_at: float

    @property
    def day(self) -> str:
        """The UTC day it came in, as the name of its folder."""
        return datetime.fromtimestamp(self.created_at, UTC).date().isoformat()


@dataclass(frozen=True, slots=True)
class Sidecar:
    """`also` holds what later senders of the same content told otherwise, as `{"at", "filename", "prompt_id", …}`.

    `lasting`: it stays until somebody deletes it; else it goes with the last of its jobs. `deleted_until` is when a
    deletion becomes final (epoch seconds).
    """

    sha256: str
    source: Source
    file: FileFacts
    prompt_id: str | None = None
    job_ids: tuple[str, ...] = ()
    workflow_name: str | None = None
    workflow: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[Mapping[str, Any], ...] = ()
    lasting: bool = True
    deleted_until: float | None = None

    @property
    def name(self) -> str:
        """The file's name in its folder."""
        return f"{self.sha256}.{self.file.extension}"

    def merged(self, other: Self, *, has_room: bool = True) -> Self:
        """This one with what the other, of the same content, tells beyond it. A deleted one is back by that.

        Unless there `has_room` nothing that callers may write at length is added.
        """
        if not has_room:
            other = replace(other, workflow=None, metadata={})
        merged = replace(
            self,
            source=Source.INGESTED if Source.INGESTED in (self.source, other.source) else self.source,
            prompt_id=self.prompt_id or other.prompt_id,
            job_ids=tuple(dict.fromkeys((*self.job_ids, *other.job_ids)))[-_MOST_JOBS:],
            workflow_name=self.workflow_name or other.workflow_name,
            workflow=self.workflow if self.workflow is not None else other.workflow,
            metadata={**other.metadata, **self.metadata},
            lasting=self.lasting or other.lasting,
            deleted_until=None,
        )
        more = merged._lacks(other)
        known = ({name: value for name, value in each.items() if name not in _STAMP} for each in self.also)
        if not more or len(self.also) >= _MOST_ALSO or more in known:
            return merged
        stamp = {"at": other.file.created_at, "filename": other.file.filename}
        return replace(merged, also=(*self.also, {**more, **stamp}))

    def _lacks(self, other: Self) -> dict[str, Any]:
        """What the other one tells and this one has no place for, as it has something else there."""
        told: dict[str, Any] = {}
        if other.workflow is not None and other.workflow != self.workflow:
            told["workflow"] = other.workflow
        if any(self.metadata.get(name) != value for name, value in other.metadata.items()):
            told["metadata"] = dict(other.metadata)
        is_known = other.prompt_id in (self.prompt_id, *self.job_ids)
        if other.prompt_id is not None and (told or not is_known):
            told["prompt_id"] = other.prompt_id
        return told

    def as_json(self) -> dict[str, Any]:
        """The document that lies beside the file."""
        return {
            "version": _VERSION,
            "sha256": self.sha256,
            "source": self.source.value,
            "lasting": self.lasting,
            "prompt_id": self.prompt_id,
            "job_ids": list(self.job_ids),
            "workflow_name": self.workflow_name,
            "file": {
                "name": self.name,
                "filename": self.file.filename,
                "media_type": self.file.media_type,
                "size_bytes": self.file.size_bytes,
                "width": self.file.width,
                "height": self.file.height,
                "created_at": self.file.created_at,
            },
            "metadata": dict(self.metadata),
            "workflow": self.workflow,
            "also": [dict(each) for each in self.also],
            **({"deleted_until": self.deleted_until} if self.deleted_until is not None else {}),
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Self:
        """What such a document says. Raises ValueError, KeyError, TypeError or AttributeError for another one."""
        file = told["file"]
        deleted_until = told.get("deleted_until")
        return cls(
            sha256=str(told["sha256"]),
            source=Source(told["source"]),
            file=FileFacts(
                filename=str(file["filename"]),
                extension=str(file["name"]).rpartition(".")[2],
                media_type=str(file["media_type"]),
                size_bytes=int(file["size_bytes"]),
                width=_number(file["width"]),
                height=_number(file["height"]),
                created_at=float(file["created_at"]),
            ),
            prompt_id=_text(told.get("prompt_id")),
            job_ids=tuple(str(each) for each in told.get("job_ids") or ()),
            workflow_name=_text(told.get("workflow_name")),
            workflow=_object(told.get("workflow")),
            metadata=_object(told.get("metadata")) or {},
            also=tuple(dict(each) for each in told.get("also") or ()),
            lasting=bool(told.get("lasting", True)),
            deleted_until=float(deleted_until) if deleted_until is not None else None,
        )


def _number(value: Any) -> int | None:
    return int(value) if value is not None else None


def _text(value: Any) -> str | None:
    return str(value) if value is not None else None


def _object(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, dict) else None
