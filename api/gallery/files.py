"""The folder of the gallery: `YYYY-MM-DD/<sha256>.<extension>`, each with `….json` beside it. Knows no index.

A file is there whole or not at all, and never without its sidecar: that comes first, and the file by a rename. What a
killed process leaves is a draft, or a sidecar without a file; `sweep` and the gallery's mending remove both. Locks are
of the operating system, so they hold between processes and end with them.
"""

import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..errors import InvalidSettings
from ..jobs.files import sync, translated_disk_errors
from ..jobs.incoming import Incoming
from .sidecar import Sidecar

_OWN = ".gallery"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NAME = re.compile(r"([0-9a-f]{64})\.([a-z0-9]{2,5})")
_SIDECAR = ".json"
_ANY_SIZE = 2**63
_COPIED_AT_ONCE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file lies, or is to lie."""

    path: Path
    sha256: str
    extension: str

    @property
    def sidecar(self) -> Path:
        """The sidecar beside it."""
        return self.path.with_name(f"{self.path.name}{_SIDECAR}")

    @property
    def day(self) -> str:
        """The name of its folder."""
        return self.path.parent.name


class Listed(NamedTuple):
    """A name in the folder of a day. `noted_ns` is when its sidecar was written; 0 for none."""

    sha256: str
    extension: str
    has_file: bool
    noted_ns: int


class GalleryFolder:
    """`root` is made when it is not there. Files in it whose names are no hashes are none of its business.

    Raises InvalidSettings when it cannot be used.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.own = self.root / _OWN
        self._drafts = self.own / "drafts"
        self._locks = self.own / "locks"
        try:
            # Folders that are there keep their mode: whoever opened them to others meant to.
            for folder in (self.root, self.own, self._drafts, self._locks):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise InvalidSettings(
                f"The gallery's folder {root} cannot be used ({error.strerror}): set ROOT_DIR or COMFY_IMAGE_DIR to "
                "one that the worker may write to."
            ) from error

    @contextlib.contextmanager
    def locked(self, sha256: str) -> Iterator[None]:
        """Nobody else, in whatever process, changes this content's files meanwhile."""
        with _lock(self._locks / sha256[:2], fcntl.LOCK_EX):
            yield

    def incoming(self, max_bytes: int, check_room: Callable[[int], None]) -> Incoming:
        """A draft that bytes are written to; what is not stored goes when the block is left. Raises DiskFull."""
        path = self._draft_path()
        with translated_disk_errors(path), _lock(self._locks / "drafts", fcntl.LOCK_SH):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            # Held as long as the file is open: tells `sweep` that somebody still works on it.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        return Incoming(path, descriptor, max_bytes, check_room, is_draft=True)

    def place(self, sidecar: Sidecar) -> Place:
        """Where a new file goes."""
        return Place(self.root / sidecar.file.day / sidecar.name, sidecar.sha256, sidecar.file.extension)

    def at(self, day: str, sha256: str, extension: str) -> Place:
        """The place of a file of which that is known."""
        return Place(self.root / day / f"{sha256}.{extension}", sha256, extension)

    def find(self, sha256: str, extension: str) -> Place | None:
        """Where the content lies already, whatever day it came."""
        name = f"{sha256}.{extension}"
        for day in self.days():
            path = self.root / day / name
            if path.exists():
                return Place(path, sha256, extension)
        return None

    def put(self, place: Place, sidecar: Sidecar, draft: Path) -> None:
        """Make a draft, synced, the file at `place`. Within its lock; it lasts then. Raises DiskFull, OSError."""
        is_new = not place.path.parent.is_dir()
        with self._beginning(place, sidecar, durable=True):
            draft.replace(place.path)
        _sync_folders(place.path.parent, *([self.root] if is_new else []))

    def link(self, place: Place, sidecar: Sidecar, source: Path, check_room: Callable[[int], None]) -> None:
        """Give a file a second name at `place`, or copy it. Within its lock; a power cut may undo it.

        `check_room(bytes)` is asked before what is copied is written. Raises StorageFull, DiskFull, OSError.
        """
        with self._beginning(place, sidecar, durable=False):
            try:
                os.link(source, place.path)
            except FileNotFoundError:
                raise
            except OSError:
                # Another file system.
                self._copy(source, place.path, check_room)

    def write(self, place: Place, sidecar: Sidecar, *, durable: bool = True) -> None:
        """Write the sidecar anew, whole or not at all. Within the content's lock. Raises DiskFull, OSError."""
        content = json.dumps(sidecar.as_json()).encode()
        with translated_disk_errors(place.sidecar), self.incoming(len(content), lambda _bytes: None) as draft:
            draft.write(content)
            if durable:
                draft.sync()
            draft.path.replace(place.sidecar)
            if durable:
                _sync_folders(place.path.parent)

    def read(self, place: Place) -> Sidecar | None:
        """The sidecar; None when there is none that can be read."""
        try:
            return Sidecar.of_json(json.loads(place.sidecar.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def remove(self, place: Place) -> None:
        """Remove the file, then its sidecar. Within the content's lock."""
        place.path.unlink(missing_ok=True)
        place.sidecar.unlink(missing_ok=True)

    def days(self) -> list[str]:
        """The days there are, the newest first."""
        try:
            return sorted((each.name for each in self.root.iterdir() if _DAY.fullmatch(each.name)), reverse=True)
        except OSError:
            return []

    def listed(self, day: str) -> list[Listed]:
        """What lies in the day's folder: files, and sidecars without one."""
        files: set[str] = set()
        noted_ns: dict[str, int] = {}
        with contextlib.suppress(OSError), os.scandir(self.root / day) as entries:
            for entry in entries:
                name = entry.name.removesuffix(_SIDECAR)
                if _NAME.fullmatch(name) is None:
                    continue
                if name == entry.name:
                    files.add(name)
                else:
                    noted_ns[name] = entry.stat().st_mtime_ns
        return [Listed(name[:64], name[65:], name in files, noted_ns.get(name, 0)) for name in files | noted_ns.keys()]

    def sweep(self) -> None:
        """Remove drafts whose writer is gone."""
        with _lock(self._locks / "drafts", fcntl.LOCK_EX):
            for path in self._drafts.iterdir():
                with contextlib.suppress(OSError), path.open("rb") as draft:
                    fcntl.flock(draft, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _beginning(self, place: Place, sidecar: Sidecar, *, durable: bool) -> Iterator[None]:
        """The sidecar comes first, and goes again when the block brings no file."""
        with translated_disk_errors(place.path):
            place.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self.write(place, sidecar, durable=durable)
                yield
            except BaseException:
                if not place.path.exists():
                    place.sidecar.unlink(missing_ok=True)
                raise

    def _copy(self, source: Path, target: Path, check_room: Callable[[int], None]) -> None:
        with self.incoming(_ANY_SIZE, check_room) as draft, source.open("rb") as reader:
            while piece := reader.read(_COPIED_AT_ONCE_BYTES):
                draft.write(piece)
            draft.path.replace(target)

    def _draft_path(self) -> Path:
        return self._drafts / secrets.token_hex(16)


def _sync_folders(*folders: Path) -> None:
    for folder in folders:
        # Network file systems that know no fsync on folders answer EINVAL; the rename is all they offer.
        with contextlib.suppress(OSError):
            sync(folder)


@contextlib.contextmanager
def _lock(path: Path, kind: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
