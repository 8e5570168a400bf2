"""Bytes on their way from a sender into a file: counted, hashed, bounded, made to last."""

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from ..errors import InputTooLarge, UploadConflict
from .files import translated_disk_errors

_MB = 1_000_000


class Incoming(AbstractContextManager["Incoming"]):
    """A file that one sender writes to; leaving the block closes it, and removes a draft that was not kept."""

    def __init__(
        self,
        path: Path,
        descriptor: int,
        limit_bytes: int,
        check_room: Callable[[int], None],
        *,
        is_draft: bool,
    ) -> None:
        self.path = path
        self.size_bytes = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._limit_bytes = limit_bytes
        self._check_room = check_room
        self._is_draft = is_draft
        # A request that is given up closes the file while a thread still writes to it.
        self._writing = threading.Lock()
        # What was there before has to be read for it.
        self._hash = hashlib.sha256() if self.size_bytes == 0 else None

    @classmethod
    def draft(cls, path: Path, limit_bytes: int, check_room: Callable[[int], None]) -> "Incoming":
        """A new file. Raises DiskFull."""
        with translated_disk_errors(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        return cls(path, descriptor, limit_bytes, check_room, is_draft=True)

    @classmethod
    def part(cls, path: Path, limit_bytes: int, check_room: Callable[[int], None]) -> "Incoming":
        """A file that grows piece by piece. Raises FileNotFoundError, UploadConflict while another one writes to it."""
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise UploadConflict(
                "Another request writes to this session; ask for its offset when it is done."
            ) from None
        return cls(path, descriptor, limit_bytes, check_room, is_draft=False)

    def write(self, data: bytes) -> None:
        """Append. Raises InputTooLarge beyond the limit, StorageFull, DiskFull."""
        if self.size_bytes + len(data) > self._limit_bytes:
            raise InputTooLarge(f"More bytes came than the {self._limit_bytes:,} that are taken here.")
        # Every time: it costs microseconds, and thousands who write at once were each let in by themselves.
        self._check_room(len(data))
        with self._writing, translated_disk_errors(self.path):
            rest = memoryview(data)
            while rest:
                written = os.write(self._descriptor, rest)
                if self._hash is not None:
                    self._hash.update(rest[:written])
                self.size_bytes += written
                rest = rest[written:]

    def sync(self) -> None:
        """Make what came last. Raises DiskFull."""
        with translated_disk_errors(self.path):
            os.fsync(self._descriptor)

    def sha256(self) -> str:
        """The hash of all of it, in hex."""
        if self._hash is not None:
            return self._hash.hexdigest()
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._writing:
            os.close(self._descriptor)
        if self._is_draft:
            self.path.unlink(missing_ok=True)
