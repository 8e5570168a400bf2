"""The outputs of one job on their way out: what has become of each, and what the result has to say about it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import DeliveryFailed, Detail, DiskFull, WorkerError
from ..ids import JobId
from ..jobs.cancel import CancelToken
from ..jobs.ports import Bucket, Delivered, DeliveredFile, OutputFile, OutputSink
from ..jobs.request import OutputOptions
from . import budget
from .convert import Prepared, prepare
from .facts import facts
from .preview import smaller

# The finding's code when an output could go nowhere at all.
OUTPUT_LOST = "output_lost"
# A preview below this shows nothing.
_LEAST_PREVIEW_BYTES = 256
_TOLD_BYTES = 1200


@dataclass(eq=False, slots=True)
class Item:
    """One output. `done` is set when it has gone out; `failure` is why the way first chosen did not work."""

    prepared: Prepared
    details: list[Detail] = field(default_factory=list)
    done: DeliveredFile | None = None
    failure: WorkerError | None = None

    @property
    def file(self) -> OutputFile:
        """The file as it is to be delivered."""
        return self.prepared.file

    def finish(self, where: Delivered, note: str | None = None) -> None:
        """The file itself has gone there."""
        known = self.prepared.facts
        self.done = DeliveredFile(self.file, where, known.width, known.height, None, note)

    def tell(self, error: WorkerError, outcome: str, *, lost: bool = False) -> None:
        """Add a finding: what failed, and what became of the file."""
        message = f"{error.message} {outcome}".strip()
        self.details.append(
            Detail(node_id=self.file.node_id, code=OUTPUT_LOST if lost else error.code, message=message)
        )


class Handover:
    """Steps of one delivery; the order is the policy's. Each step leaves its items done, or with a reason."""

    def __init__(
        self, job_id: JobId, workdir: Path, *, inline: OutputSink, disk: OutputSink | None, room_bytes: int | None
    ) -> None:
        self._job_id = job_id
        self._workdir = workdir
        self._inline = inline
        self._disk = disk
        self._room_bytes = room_bytes
        self._items: list[Item] = []

    def prepare(self, file: OutputFile, options: OutputOptions, default_metadata: Literal["keep", "strip"]) -> Item:
        """Convert and strip; a file that could not be is delivered as it is."""
        try:
            prepared = prepare(file, options, self._workdir, default_metadata)
            item = Item(prepared, list(prepared.warnings))
        except WorkerError as error:
            item = Item(Prepared(file, facts(file.path, file.filename, file.mime_type)))
            item.tell(error, f"{file.filename} is delivered as ComfyUI made it.")
        self._items.append(item)
        return item

    def upload(self, item: Item, bucket: Bucket, cancel: CancelToken, note: str | None = None) -> Item:
        """Try S3; safe to call from several threads for different items."""
        try:
            item.finish(bucket.put(self._job_id, item.file, cancel), note)
        except WorkerError as error:
            item.failure = error
        return item

    def spilled(self, items: Sequence[Item]) -> list[Item]:
        """Those not yet done that the result has no room for."""
        waiting = [item for item in items if item.done is None]
        if self._room_bytes is None or not waiting:
            return []
        # A failed upload still has to be told of, once it is known where the file went instead.
        told_bytes = sum(_TOLD_BYTES for item in waiting if item.failure)
        chosen = budget.to_spill([item.file for item in waiting], self._room_left() - told_bytes)
        return [waiting[index] for index in sorted(chosen)]

    def inline_all(self, items: Iterable[Item]) -> None:
        """Put files into the result itself. Raises DiskFull: no fault of the job, which can be handed over later."""
        for item in items:
            try:
                where = self._inline.put(self._job_id, item.file)
            except DiskFull:
                raise
            except WorkerError as error:
                if item.failure:
                    item.tell(item.failure, "")
                item.tell(error, f"{item.file.filename} is not in the result.", lost=True)
                continue
            item.finish(where)
            if item.failure:
                item.tell(item.failure, f"{item.file.filename} is in the result as base64 instead.")

    def keep_all(self, items: Sequence[Item]) -> None:
        """Files without room: on disk, with a preview in the result."""
        for item in items:
            original = self._kept(item)
            if original:
                item.finish(original, f"Too large for the result itself: it lies at {original.data} on the worker.")
        for place, item in enumerate(items):
            self._preview(item, sharers=len(items) - place)

    def _kept(self, item: Item) -> Delivered | None:
        reason = item.failure or _no_room(item.file)
        try:
            if self._disk is None:
                raise DeliveryFailed("There is no folder to keep it in: configure S3, or set OVERFLOW_DIR.")
            where = self._disk.put(self._job_id, item.file)
        except WorkerError as error:
            item.tell(reason, f"{error.message} {item.file.filename} is lost to this result.", lost=True)
            return None
        if item.failure:
            item.tell(item.failure, f"{item.file.filename} lies at {where.data} on the worker instead.")
        return where

    def _preview(self, item: Item, sharers: int) -> None:
        if self._room_bytes is None:
            return
        limit_bytes = budget.preview_limit_bytes(item.file, self._room_left(), sharers)
        if limit_bytes < _LEAST_PREVIEW_BYTES:
            return
        try:
            small = smaller(item.file, limit_bytes, self._workdir)
            where = self._inline.put(self._job_id, small) if small else None
        except WorkerError as error:
            item.tell(error, f"There is no preview of {item.file.filename}.")
            return
        if small and where:
            self._finish_preview(item, small, where)

    def _finish_preview(self, item: Item, small: OutputFile, where: Delivered) -> None:
        original = item.done
        size = facts(small.path, small.filename)
        lies = f"it lies at {original.where.data} on the worker" if original else "it could not be kept"
        note = f"A preview. The original has {item.file.size_bytes} bytes, too many for the result: {lies}."
        item.done = DeliveredFile(small, where, size.width, size.height, original, note)

    def _room_left(self) -> int:
        done = [item.done for item in self._items if item.done]
        details = [detail for item in self._items for detail in item.details]
        spent = budget.spent_bytes([(entry.file, entry.where) for entry in done], details)
        return (self._room_bytes or 0) - spent


def _no_room(file: OutputFile) -> WorkerError:
    return DeliveryFailed(f"{file.filename} ({file.size_bytes} bytes) is too large for the result.")
