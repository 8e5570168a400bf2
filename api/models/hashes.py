"""SHA-256 of model files: computed in the background when nothing else wants the disk, and kept by size and time."""

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ..jobs.files import written_whole
from ..logs import get_logger
from .files import FoundFile

_CHUNK_BYTES = 8 * 1024 * 1024
# While jobs run they have the disk: about 30 MB/s are left to this.
_BUSY_PAUSE_S = 0.25
_LOOK_EVERY_S = 60.0
_LOWEST = 19

log = get_logger()


class HashBook:
    """What is known, in one file of JSON. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, int, str]] = _read(path)

    def of(self, file: FoundFile) -> str | None:
        """The hash of the file as it is now; None when it is not known."""
        with self._lock:
            known = self._known.get(str(file.path))
        return known[2] if known and known[:2] == (file.size_bytes, file.mtime_ns) else None

    def note(self, file: FoundFile, sha256: str) -> None:
        """Keep a hash."""
        with self._lock:
            self._known[str(file.path)] = (file.size_bytes, file.mtime_ns, sha256)
            self._write()

    def keep_only(self, files: Iterable[FoundFile]) -> None:
        """Forget those of files that are gone, though not when their folder is: a volume may not be there just now."""
        present = {str(file.path) for file in files}
        with self._lock:
            gone = [path for path in self._known.keys() - present if Path(path).parent.is_dir()]
            for path in gone:
                del self._known[path]
            if gone:
                self._write()

    def _write(self) -> None:
        try:
            with written_whole(self._path) as file:
                file.write(json.dumps(self._known).encode())
        except OSError as error:
            log.warning("Hashes of models are not kept", error=error.strerror)


class Hasher:
    """One thread. `files` gives the files that are to have a hash, `is_busy` whether jobs run.

    A file younger than `settle_s` may still be on its way here.
    """

    def __init__(
        self,
        book: HashBook,
        files: Callable[[], Iterable[FoundFile]],
        is_busy: Callable[[], bool] = lambda: False,
        settle_s: float = 10.0,
    ) -> None:
        self._book = book
        self._files = files
        self._is_busy = is_busy
        self._settle_s = settle_s
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="model-hasher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """There may be new files."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread; a file that is half read is begun again next time."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _work(self) -> None:
        # Linux knows a priority per thread.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
        while not self._stopping.is_set():
            self._wake.clear()
            files = list(self._files())
            self._book.keep_only(files)
            unknown = [file for file in files if self._book.of(file) is None]
            settled = [file for file in unknown if time.time() - file.mtime_ns / 1e9 >= self._settle_s]
            for file in sorted(settled, key=lambda each: each.size_bytes):
                if self._stopping.is_set():
                    return
                self._hash(file)
            self._wake.wait(self._settle_s if len(settled) < len(unknown) else _LOOK_EVERY_S)

    def _hash(self, file: FoundFile) -> None:
        digest = hashlib.sha256()
        try:
            with file.path.open("rb", buffering=0) as source:
                while chunk := source.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    if self._stopping.wait(_BUSY_PAUSE_S if self._is_busy() else 0):
                        return
            now = file.path.stat()
        except OSError:
            return  # gone meanwhile, or not ours to read
        if (now.st_size, now.st_mtime_ns) == (file.size_bytes, file.mtime_ns):
            self._book.note(file, digest.hexdigest())


def _read(path: Path) -> dict[str, tuple[int, int, str]]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): (int(size), int(mtime), str(digest)) for name, (size, mtime, digest) in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
