"""An input file while it is written: counted, hashed, and stopped at its limit."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ..errors import InternalError, WorkerError
from ..jobs.files import disk_full
from .findings import too_large


@dataclass(frozen=True, slots=True)
class SizeLimit:
    """How large the file in `field` may be, and which setting says so; an empty one when the job itself does."""

    field: str
    max_bytes: int
    setting: str

    def check(self, size_bytes: int) -> None:
        """Raise InputTooLarge when the size is over the limit."""
        if size_bytes > self.max_bytes:
            if self.setting == "MAX_INPUT_TOTAL_MB":
                reason = "with it the files of the job are together too large"
            else:
                reason = f"the file is larger than {self.max_bytes:,} bytes"
            setting = f" (setting {self.setting})" if self.setting else ""
            raise too_large(self.field, f"{reason}{setting}")


class Spool:
    """Opens, or empties, the file at `path`. A context manager."""

    def __init__(self, path: Path, limit: SizeLimit) -> None:
        self.path = path
        self.size_bytes = 0
        self._limit = limit
        self._hash = hashlib.sha256()
        self._file: BinaryIO | None = None

    @property
    def sha256(self) -> str:
        """Hex digest of what was written so far."""
        return self._hash.hexdigest()

    def expect(self, size_bytes: int) -> None:
        """Raise InputTooLarge at once when so much more would be over the limit."""
        self._limit.check(self.size_bytes + size_bytes)

    def write(self, chunk: bytes) -> None:
        """Append. Raises InputTooLarge or DiskFull."""
        self.expect(len(chunk))
        try:
            if self._file:
                self._file.write(chunk)
        except OSError as error:
            raise disk_error(error) from error
        self._hash.update(chunk)
        self.size_bytes += len(chunk)

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")
        except OSError as error:
            raise disk_error(error) from error
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if self._file:
                self._file.close()
        except OSError as error:
            raise disk_error(error) from error


def disk_error(error: OSError) -> WorkerError:
    """What to raise when the worker's own disk fails."""
    cannot_write = InternalError("The worker cannot write its scratch folder (setting WORK_DIR).")
    return disk_full(error, "write the input files below WORK_DIR") or cannot_write
