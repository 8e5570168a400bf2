"""The gallery: files with their sidecars, each content once, listed and searched by an index. Knows no route."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import GalleryItemNotFound
from ..inputs.findings import not_usable
from ..jobs.incoming import Incoming
from .carried import carried
from .content import FIELD, examined, glanced
from .entry import Count, Entry, Wanted
from .files import GalleryFolder
from .given import Given
from .index import GalleryIndex
from .keeping import Keeping, Stored
from .sidecar import Sidecar, Source
from .thumbnails import Thumbnails

_INDEX = "index.db"


class Gallery:
    """Safe from any thread, and from any process that shares the folder. Times are epoch seconds.

    `index` is its file; none = with the folder's own, which must then be on a disk of this machine.
    `max_bytes` and `max_pixels` are limits of a file that is sent in; a deletion can be undone for `undo_s`.
    """

    def __init__(
        self,
        folder: GalleryFolder,
        *,
        max_bytes: int,
        max_pixels: int,
        undo_s: float,
        index: Path | None = None,
        check_room: Callable[[int], None] = lambda _bytes: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._index = GalleryIndex(index or folder.own / _INDEX)
        self._thumbnails = Thumbnails(folder)
        self._keeping = Keeping(folder, self._index, self._thumbnails, clock)
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels
        self._undo_s = undo_s
        self._check_room = check_room
        self._clock = clock

    @property
    def is_indexing(self) -> bool:
        """Whether there is more than is listed, for now."""
        return self._keeping.is_indexing or self._index.is_damaged.is_set()

    @property
    def needs_mending(self) -> bool:
        """Whether the index cannot be read."""
        return self._index.is_damaged.is_set()

    def begin(self) -> Incoming:
        """Where a file that is sent in is written to; without `ingest` nothing of it stays. Raises DiskFull."""
        return self._folder.incoming(self._max_bytes, self._check_room)

    def ingest(self, incoming: Incoming, given: Given) -> Stored:
        """Keep what came in until somebody deletes it. Raises InvalidInputFile, InputTooLarge, DiskFull."""
        if incoming.size_bytes == 0:
            raise not_usable(
                FIELD, "it is empty: send the file itself, as curl does with -F file=@picture.png", "empty"
            )
        content = examined(incoming.path, self._max_pixels)
        if given.workflow is None:
            given = replace(given, workflow=carried(incoming.path, content.media_type))
        incoming.sync()
        now = self._clock()
        sidecar = given.sidecar(incoming.sha256(), incoming.size_bytes, content, Source.INGESTED, now)
        return self._keeping.store(sidecar, lambda place: self._folder.put(place, sidecar, incoming.path))

    def add(self, path: Path, sha256: str, given: Given, *, lasting: bool) -> Stored | None:
        """Give an output that was made here a second name in the gallery; None for what it does not show.

        What is not `lasting` goes with its jobs. Raises DiskFull, OSError.
        """
        content = glanced(path)
        if content is None:
            return None
        size_bytes = path.stat().st_size
        now = self._clock()
        sidecar = given.sidecar(sha256, size_bytes, content, Source.GENERATED, now, lasting=lasting)
        return self._keeping.store(sidecar, lambda place: self._folder.link(place, sidecar, path, self._check_room))

    def page(self, wanted: Wanted, limit: int, before: int | None = None) -> list[Entry]:
        """The newest of those, `before` the number of another one."""
        return self._index.page(wanted, limit, before)

    def days(self, wanted: Wanted) -> list[Count]:
        """How many of those came in on which day, the newest first."""
        return self._index.days(wanted)

    def facets(self) -> tuple[list[Count], list[Count]]:
        """The named workflows, and the checkpoints, that most were made with."""
        return self._index.facets()

    def get(self, sha256: str) -> Entry:
        """A file that is shown. Raises GalleryItemNotFound."""
        entry = self._index.get(sha256)
        if entry is None or entry.deleted_until is not None:
            raise _not_found()
        return entry

    def sidecar(self, entry: Entry) -> Sidecar:
        """All that is known of it. Raises GalleryItemNotFound when it went meanwhile."""
        sidecar = self._folder.read(self._keeping.place(entry))
        if sidecar is None:
            raise _not_found()
        return sidecar

    def path(self, entry: Entry) -> Path:
        """Its file."""
        return self._keeping.place(entry).path

    def thumbnail(self, entry: Entry, side: int) -> Path | None:
        """A small WebP of a picture, its longest side `side` or the next size there is; None for what is none."""
        if entry.kind != "image":
            return None
        return self._thumbnails.get(entry.sha256, self.path(entry), side)

    def delete(self, sha256: str) -> Entry:
        """Hide it, and remove it when the time to undo that is over. Raises GalleryItemNotFound."""
        return self._keeping.mark(self.get(sha256), self._clock() + self._undo_s)

    def undo(self, sha256: str) -> Entry:
        """Bring a deleted one back. Raises GalleryItemNotFound when its time is over, or it was not deleted."""
        entry = self._index.get(sha256)
        if entry is None:
            raise _not_found()
        return self._keeping.mark(entry, None)

    def purge(self) -> float | None:
        """Remove what was deleted for good; when there is more to remove (epoch seconds)."""
        for entry in self._index.due(self._clock()):
            self._keeping.remove(entry, lambda sidecar: not _is_over(sidecar, self._clock()))
        return self._index.next_due()

    def passing(self, limit: int, before: int | None = None) -> list[Entry]:
        """Those that go with their jobs, the newest first, `before` a number."""
        return self._index.passing(before, limit)

    def of_jobs(self, job_ids: Sequence[str]) -> list[Entry]:
        """Those that go with one of these jobs, a few hundred at most."""
        return self._index.of_jobs(job_ids)

    def leave(self, entry: Entry, job_ids: Sequence[str]) -> None:
        """Remove one that goes with those jobs, unless it belongs to others too, or is to be kept by now."""
        self._keeping.remove(entry, lambda sidecar: sidecar.lasting or not set(sidecar.job_ids) <= set(job_ids))

    def mend(self) -> None:
        """Bring folder and index to agree: finish or remove what was cut off, enter what the index does not know."""
        self._keeping.mend()

    def reindex(self) -> int:
        """Make the index anew from the sidecars; how many files it has then."""
        self._index.reset()
        self._keeping.mend()
        return len(self._index.known())

    def close(self) -> None:
        """Close the index."""
        self._index.close()


def _is_over(sidecar: Sidecar, now: float) -> bool:
    return sidecar.deleted_until is not None and sidecar.deleted_until <= now


def _not_found() -> GalleryItemNotFound:
    return GalleryItemNotFound("There is no such item in the gallery, or it was deleted.")
