"""What a file's sender tells of it, and the sidecar that this becomes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ..outputs.naming import safe_component
from .content import Content
from .sidecar import FileFacts, Sidecar, Source

# Of metadata: what says which named workflow made it.
_WORKFLOW_NAME = "workflow_name"
# Each list of items has it.
_LONGEST_NAME = 200
_UNNAMED = "picture"
# Would turn what follows around, or show nothing, in a list of names.
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Given:
    """`filename` is taken as it came; `workflow` may be in the API format or the editor's own."""

    filename: str = ""
    prompt_id: str | None = None
    workflow: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    workflow_name: str | None = None
    job_id: str | None = None

    def sidecar(
        self, sha256: str, size_bytes: int, content: Content, source: Source, created_at: float, *, lasting: bool = True
    ) -> Sidecar:
        """The sidecar of a file with that content."""
        named = self.metadata.get(_WORKFLOW_NAME)
        return Sidecar(
            sha256=sha256,
            source=source,
            file=FileFacts(
                filename=safe_name(self.filename, content.extension),
                extension=content.extension,
                media_type=content.media_type,
                size_bytes=size_bytes,
                width=content.width,
                height=content.height,
                created_at=round(created_at, 6),
            ),
            prompt_id=self.prompt_id,
            job_ids=(self.job_id,) if self.job_id else (),
            workflow_name=self.workflow_name or (named[:_LONGEST_NAME] if isinstance(named, str) and named else None),
            workflow=self.workflow,
            metadata=self.metadata,
            lasting=lasting,
        )


def safe_name(filename: str, extension: str) -> str:
    """The last part of a name, as one that can be shown and saved under; with the extension that is right."""
    last = re.split(r"[/\\]", filename)[-1]
    name = safe_component(_INVISIBLE.sub("", last)) or _UNNAMED
    stem = PurePosixPath(name).stem.strip(". ")
    # ComfyUI's own names end in _.
    stem = stem if stem.strip("_") else _UNNAMED
    suffix = PurePosixPath(name).suffix.lower()
    kept = suffix if suffix in _ALIKE.get(extension, (f".{extension}",)) else f".{extension}"
    return f"{stem}{kept}"


_ALIKE = {
    "jpg": (".jpg", ".jpeg", ".jfif"),
    "png": (".png", ".apng"),
    "tiff": (".tiff", ".tif"),
    "mp4": (".mp4", ".m4v"),
    "ogg": (".ogg", ".oga", ".opus", ".ogv"),
}
