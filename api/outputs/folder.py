"""A folder of files that were not made by jobs, looked at as a list. Reads only; never beyond the folder."""

import mimetypes
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_SHOWN = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".mp4", ".webm", ".mov", ".wav", ".mp3", ".flac", ".glb", ".txt")


@dataclass(frozen=True, slots=True)
class FolderFile:
    """`name` is the path below the folder, with slashes."""

    name: str
    path: Path
    size_bytes: int
    mtime_ns: int

    @property
    def mime_type(self) -> str:
        """By its name."""
        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"

    @property
    def tag(self) -> str:
        """Tells one content from another."""
        return f"{self.mtime_ns:x}-{self.size_bytes:x}"


class OutputFolder:
    """Without a root it is empty. A listing is at most `ttl_s` old; a file is looked up at once."""

    def __init__(
        self, root: Path | None = None, ttl_s: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._root = root.resolve() if root else None
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = threading.Lock()
        self._listed: tuple[float, list[FolderFile]] | None = None

    def newest(self, limit: int) -> list[FolderFile]:
        """The files that were changed last."""
        with self._lock:
            if self._listed is None or self._clock() - self._listed[0] > self._ttl_s:
                self._listed = self._clock(), self._list()
            return self._listed[1][:limit]

    def find(self, name: str) -> FolderFile | None:
        """The file of that name; None for what is not shown, or lies elsewhere through a link."""
        if self._root is None or not _is_shown(name):
            return None
        try:
            path = (self._root / name).resolve(strict=True)
            found = path.stat()
        except (OSError, ValueError):
            return None
        if not path.is_relative_to(self._root) or not path.is_file():
            return None
        return FolderFile(name, path, found.st_size, found.st_mtime_ns)

    def _list(self) -> list[FolderFile]:
        if self._root is None:
            return []
        found: list[FolderFile] = []
        for folder, folders, names in os.walk(self._root):
            folders[:] = [each for each in folders if not each.startswith(".")]
            below = Path(folder).relative_to(self._root)
            found += filter(None, (self.find((below / name).as_posix()) for name in names))
        return sorted(found, key=lambda file: file.mtime_ns, reverse=True)


def _is_shown(name: str) -> bool:
    return name.lower().endswith(_SHOWN) and not any(part.startswith(".") for part in name.split("/"))
