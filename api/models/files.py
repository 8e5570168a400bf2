"""The files below a folder, as cheaply as they can be told. Follows links as ComfyUI does, but in no circles."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FoundFile:
    """`name` is the path below `root`, with slashes."""

    root: Path
    name: str
    size_bytes: int
    mtime_ns: int

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.root / self.name


def files_below(root: Path, wanted: Callable[[str], bool]) -> Iterator[FoundFile]:
    """The files whose name is `wanted`, hidden ones aside; what cannot be read is left out."""
    waiting = [""]
    seen: set[tuple[int, int]] = set()
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                found = entry.stat()
                is_dir, is_file = entry.is_dir(), entry.is_file()
            except OSError:
                continue  # a link that leads nowhere
            if is_dir and (place := (found.st_dev, found.st_ino)) not in seen:
                seen.add(place)
                waiting.append(f"{folder}{entry.name}/")
            elif is_file and wanted(entry.name):
                yield FoundFile(root, f"{folder}{entry.name}", found.st_size, found.st_mtime_ns)
