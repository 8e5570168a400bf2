"""Ingests in processes that are killed by SIGKILL: `gallery_process.py FOLDER`; prints how many were.

The first dies at its first operation that changes a file below its folder, the second at its second, and so on until
one comes to its end. Forks of one process, so that each needs no start of its own.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from support.gallery_rig import of_comfyui, opened

from api.gallery.given import Given

_CHANGES = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.truncate", "sqlite3.connect"}


def ingest(root: Path) -> None:
    """A first picture, then it again with more said of it, then a deletion."""
    gallery = opened(root)
    for prompt_id in ("first", "second"):
        with gallery.begin() as incoming:
            incoming.write(of_comfyui())
            stored = gallery.ingest(incoming, Given("made.png", prompt_id))
    gallery.delete(stored.entry.sha256)


def _is_change(event: str, arguments: tuple[Any, ...], root: Path) -> bool:
    path = str(arguments[0])
    if not path.startswith(str(root)) or "/locks/" in path:
        return False
    return event != "open" or bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))


def die_at(number: int, root: Path) -> None:
    """Count operations on files below the folder, and end this process in front of that one."""
    left = number

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event not in _CHANGES or not _is_change(event, arguments, root):
            return
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def main(folder: Path) -> int:
    for number in range(1000):
        root = folder / str(number)
        child = os.fork()
        if child == 0:
            die_at(number, root)
            ingest(root)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            continue
        assert status == 0, f"the process that was to die at operation {number} failed"
        return number
    raise AssertionError("it never came to its end")


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
