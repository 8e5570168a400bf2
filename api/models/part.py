"""A file on its way here: what came so far lies beside its place, hidden, and can be gone on with."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from ..jobs.files import translated_disk_errors

_CHUNK_BYTES = 8 * 1024 * 1024
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o644


class Part:
    """`source` names what is fetched: a part of something else is begun anew. A context manager; raises DiskFull."""

    def __init__(self, target: Path, source: str) -> None:
        self.path = target.with_name(f".{target.name}.part")
        self.size_bytes = 0
        self._notes = target.with_name(f".{target.name}.part.json")
        self._source = hashlib.sha256(source.encode()).hexdigest()
        self._validator: str | None = None
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None

    @property
    def sha256(self) -> str:
        """Of what came so far."""
        return self._digest.hexdigest()

    @property
    def validator(self) -> str | None:
        """What the server called this state of the file (ETag or date); None when it cannot be gone on with."""
        return self._validator

    def begin(self, validator: str | None) -> None:
        """Throw away what came so far."""
        file = self._opened
        with translated_disk_errors(self.path):
            file.seek(0)
            file.truncate()
            self.size_bytes, self._digest, self._validator = 0, hashlib.sha256(), validator
            self._notes.write_text(json.dumps({"source": self._source, "validator": validator}), encoding="utf-8")

    def write(self, chunk: bytes) -> None:
        """Append."""
        with translated_disk_errors(self.path):
            self._opened.write(chunk)
        self._digest.update(chunk)
        self.size_bytes += len(chunk)

    def finish(self) -> None:
        """Make it last."""
        with translated_disk_errors(self.path):
            self._opened.flush()
            os.fsync(self._opened.fileno())

    def discard(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def forget_notes(self) -> None:
        """The file has found its place."""
        self._notes.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        with translated_disk_errors(self.path):
            self._file = os.fdopen(os.open(self.path, _FLAGS, _MODE), "r+b")
        notes = _notes(self._notes)
        self._validator = notes.get("validator") if notes.get("source") == self._source else None
        if self._validator is None:
            self.begin(None)
        else:
            while chunk := self._file.read(_CHUNK_BYTES):
                self._digest.update(chunk)
                self.size_bytes += len(chunk)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with translated_disk_errors(self.path):
            self._opened.close()

    @property
    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise ValueError("the part is not open")
        return self._file


def _notes(path: Path) -> Mapping[str, Any]:
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}
