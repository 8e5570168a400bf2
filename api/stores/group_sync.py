"""One sync of a file for all threads that wait for one."""

import os
import threading
from pathlib import Path


class GroupSync:
    """`wait` returns when everything written to the file before the call has reached the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._asked = 0
        self._synced = 0

    def wait(self) -> None:
        """Sync, unless a sync that began after the call has been made meanwhile. Raises OSError."""
        with self._counting:
            self._asked += 1
            mine = self._asked
        with self._turn:
            if self._synced >= mine:
                return
            with self._counting:
                covered = self._asked
            with self._path.open("rb") as file:
                os.fsync(file.fileno())
            self._synced = covered
