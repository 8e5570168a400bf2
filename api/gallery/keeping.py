"""Changes of the gallery: each one to folder and index together, and what brings the two to agree again."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..errors import GalleryItemNotFound, StoreUnavailable
from ..logs import get_logger
from .carried import carried
from .content import confirmed
from .entry import Entry, Wanted
from .files import GalleryFolder, Place
from .given import Given
from .index import GalleryIndex, Known
from .rows import Row
from .sidecar import Sidecar, Source
from .thumbnails import Thumbnails
from .words import searchable

log = get_logger()

_ROWS_AT_ONCE = 200
# A sidecar that is larger takes in no more workflows and metadata of others who send the same file.
_FULL_BYTES = 2_000_000
# Looks into the words, whatever they are.
_ANY = Wanted(query='"a"')


class Stored(NamedTuple):
    """What became of a file; its paths are below the gallery's folder.

    A duplicate was there already: its sidecar has what was new.
    """

    entry: Entry
    is_duplicate: bool
    path: str
    sidecar_path: str


class Keeping:
    """Changes a content's files within its lock, the index last: what is cut off between the two, `mend` finds."""

    def __init__(
        self, folder: GalleryFolder, index: GalleryIndex, thumbnails: Thumbnails, clock: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._index = index
        self._thumbnails = thumbnails
        self._clock = clock
        # Whether `mend` is making an empty index anew.
        self.is_indexing = False

    def store(self, sidecar: Sidecar, put: Callable[[Place], None]) -> Stored:
        """Keep a file that `put` brings to its place, unless its content is there: then merge the sidecars."""
        with self._folder.locked(sidecar.sha256):
            place = self._folder.find(sidecar.sha256, sidecar.file.extension)
            is_duplicate = place is not None
            if place is None:
                place, kept = self._folder.place(sidecar), sidecar
                put(place)
            else:
                kept = self._merged(place, sidecar)
            row = self._row(place, kept)
            self._index.put([row])
        relative = f"{place.day}/{place.path.name}"
        return Stored(row.entry, is_duplicate, relative, f"{relative}.json")

    def mark(self, entry: Entry, deleted_until: float | None) -> Entry:
        """Hide it until then, or show it again. Raises GalleryItemNotFound when it was so already, or is gone."""
        place = self.place(entry)
        with self._folder.locked(entry.sha256):
            sidecar = self._folder.read(place)
            if sidecar is None or not place.path.exists() or not self._may_be_marked(sidecar, deleted_until):
                raise GalleryItemNotFound("There is no such item in the gallery, or it was deleted.")
            marked = replace(sidecar, deleted_until=deleted_until)
            self._folder.write(place, marked)
            row = self._row(place, marked)
            self._index.put([row])
        return row.entry

    def remove(self, entry: Entry, stays: Callable[[Sidecar], bool]) -> None:
        """Remove it for good, unless its sidecar says now that it stays."""
        place = self.place(entry)
        with self._folder.locked(entry.sha256):
            sidecar = self._folder.read(place)
            if sidecar is not None and stays(sidecar):
                return
            self._folder.remove(place)
            self._thumbnails.forget(entry.sha256)
            self._index.remove([entry.sha256])

    def mend(self) -> None:
        """Finish or remove whatever was cut off, and enter whatever the index does not know as it is."""
        self._folder.sweep()
        known = self._known()
        days = self._folder.days()
        self.is_indexing = not known and bool(days)
        seen: set[str] = set()
        rows: list[Row] = []
        for day in days:
            for found in self._folder.listed(day):
                if found.sha256 in seen:
                    continue
                if known.get(found.sha256) != (day, found.extension, found.noted_ns) or not found.has_file:
                    row = self._mended(self._folder.at(day, found.sha256, found.extension))
                    if row is None:
                        continue
                    rows.append(row)
                seen.add(found.sha256)
            if len(rows) >= _ROWS_AT_ONCE:
                self._index.put(rows)
                rows.clear()
        self._index.put(rows)
        self._index.remove([sha256 for sha256 in known if sha256 not in seen])
        self.is_indexing = False

    def _known(self) -> Mapping[str, Known]:
        """What the index knows; nothing when it cannot be read, and it is made anew."""
        if not self._index.is_damaged.is_set():
            try:
                self._index.page(_ANY, 1)
                return self._index.known()
            except StoreUnavailable:
                if not self._index.is_damaged.is_set():
                    raise
        self._index.reset()
        return {}

    def place(self, entry: Entry) -> Place:
        """Where its file lies."""
        return self._folder.at(entry.day, entry.sha256, entry.extension)

    def _may_be_marked(self, sidecar: Sidecar, deleted_until: float | None) -> bool:
        if deleted_until is not None:
            return sidecar.deleted_until is None
        return sidecar.deleted_until is not None and sidecar.deleted_until > self._clock()

    def _merged(self, place: Place, sidecar: Sidecar) -> Sidecar:
        before = self._folder.read(place)
        merged = before.merged(sidecar, has_room=_size_bytes(place.sidecar) < _FULL_BYTES) if before else sidecar
        if merged != before:
            self._folder.write(place, merged)
        return merged

    def _row(self, place: Place, sidecar: Sidecar) -> Row:
        names = (sidecar.file.filename, sidecar.prompt_id, sidecar.workflow_name, *sidecar.job_ids)
        also = [each.get(name) for each in sidecar.also for name in ("metadata", "prompt_id", "filename", "workflow")]
        text = searchable(sidecar.workflow, dict(sidecar.metadata), list(names), also)
        return Row(Entry.of(sidecar, place.day), text, not sidecar.lasting, _noted_ns(place))

    def _mended(self, place: Place) -> Row | None:
        """What there is to enter of a file; a sidecar without one is removed."""
        try:
            if not place.path.exists():
                self._forget_orphan(place)
                return None
            sidecar = self._folder.read(place) or self._adopted(place)
            return self._row(place, sidecar) if sidecar else None
        except OSError as error:
            log.warning("A file of the gallery cannot be read", day=place.day, error=error.strerror)
            return None

    def _forget_orphan(self, place: Place) -> None:
        with self._folder.locked(place.sha256):
            if not place.path.exists():
                self._folder.remove(place)

    def _adopted(self, place: Place) -> Sidecar | None:
        """The sidecar of a file that has none that can be read; the file goes when it is not what its name says."""
        with self._folder.locked(place.sha256):
            if not place.path.exists() or (sidecar := self._folder.read(place)) is not None:
                return sidecar if place.path.exists() else None
            content = confirmed(place.path, place.sha256)
            if content is None:
                self._folder.remove(place)
                return None
            status = place.path.stat()
            given = Given(workflow=carried(place.path, content.media_type))
            created_at = min(status.st_mtime, self._clock())
            sidecar = given.sidecar(place.sha256, status.st_size, content, Source.INGESTED, created_at)
            self._folder.write(place, sidecar)
            return sidecar


def _size_bytes(path: Path) -> int:
    """0 for a file that is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _noted_ns(place: Place) -> int:
    """When the sidecar was written; 0 for none."""
    try:
        return place.sidecar.stat().st_mtime_ns
    except OSError:
        return 0
