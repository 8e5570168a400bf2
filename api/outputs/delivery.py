"""Decides which way each output goes: S3, inline or disk, and what happens when one way fails. Never drops silently."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Literal, TypeVar

from ..errors import Detail, InvalidInput, WorkerError
from ..ids import JobId
from ..jobs.cancel import CancelToken
from ..jobs.ports import Bucket, DeliveredFile, OutputFile, OutputSink, S3SinkFactory
from ..jobs.request import OutputOptions, S3Config
from ..logs import get_logger
from .handover import Handover, Item
from .inline import InlineSink

log = get_logger()

_T = TypeVar("_T")
_UPLOADS_AT_ONCE = 4
_UPLOADED_NOTE = "Too large for the result itself: uploaded instead."


class Delivery:
    """The policy. S3 when it is configured or the request brings it, else inline; over the limit S3, then disk."""

    def __init__(
        self,
        *,
        inline: InlineSink,
        s3: Bucket | None = None,
        s3_factory: S3SinkFactory | None = None,
        disk: OutputSink | None = None,
        inline_limit_bytes: int | None = None,
        default_metadata: Literal["keep", "strip"] = "keep",
    ) -> None:
        self._inline = inline
        self._s3 = s3
        self._s3_factory = s3_factory
        self._disk = disk
        self._inline_limit_bytes = inline_limit_bytes
        self._default_metadata = default_metadata

    def check(self, options: OutputOptions, s3: S3Config | None) -> None:
        """Before the run: raises InvalidInput when the outputs could not go where the request wants them."""
        bucket = self._bucket(s3)
        if options.delivery == "s3" and bucket is None:
            message = "This worker has no S3: set BUCKET_ENDPOINT_URL on it, send s3Config, or take base64."
            raise InvalidInput(message, [Detail(field="delivery", message=message, code="no_s3")])

    def deliver(
        self,
        job_id: JobId,
        files: Sequence[OutputFile],
        options: OutputOptions,
        s3: S3Config | None,
        workdir: Path,
        inline_limit_bytes: int | None = None,
        reserved_bytes: int = 0,
        inline: OutputSink | None = None,
        archive: OutputSink | None = None,
        cancel: CancelToken | None = None,
    ) -> tuple[list[DeliveredFile], list[Detail]]:
        """Hand every file over, in their order, with what did not go as asked.

        The stricter of the two limits bounds the encoded result; `reserved_bytes` of it are taken by other things.
        `inline` takes what would go into the result itself, where its caller keeps such content elsewhere; `archive`
        gets everything, and what it cannot take is no matter of the job.
        Raises the reason of the cancel at once; uploads under way are cut and end by themselves.
        """
        cancel = cancel or CancelToken()
        limits = [limit for limit in (inline_limit_bytes, self._inline_limit_bytes) if limit is not None]
        handover = Handover(
            job_id,
            workdir,
            inline=inline or self._inline,
            disk=self._disk,
            room_bytes=min(limits) - reserved_bytes if limits else None,
        )
        bucket = self._bucket(s3)
        prepared: Iterator[Item] = (
            handover.prepare(file, options, self._default_metadata) for file in _until(cancel, files)
        )
        if archive is not None:
            prepared = _archived(job_id, prepared, archive)
        if bucket is None or options.delivery == "base64":
            items = list(prepared)
        else:
            items = _uploaded(handover, bucket, prepared, cancel)
        spilled = handover.spilled(items)
        if bucket is not None:
            untried = [item for item in spilled if item.failure is None]
            _uploaded(handover, bucket, untried, cancel, _UPLOADED_NOTE)
        handover.inline_all(_until(cancel, [item for item in items if item.done is None and item not in spilled]))
        cancel.raise_if_set()
        handover.keep_all([item for item in spilled if item.done is None])
        return [item.done for item in items if item.done], [detail for item in items for detail in item.details]

    def _bucket(self, s3: S3Config | None) -> Bucket | None:
        if s3 is None:
            return self._s3
        if self._s3_factory is None:
            message = "This worker takes no s3Config: its outputs go where its own settings say."
            raise InvalidInput(message, [Detail(field="s3Config", message=message, code="no_s3")])
        return self._s3_factory(s3)


def _archived(job_id: JobId, items: Iterator[Item], archive: OutputSink) -> Iterator[Item]:
    for item in items:
        try:
            archive.put(job_id, item.file)
        except WorkerError as error:
            log.warning("Output not kept on disk", filename=item.file.filename, error=error.message)
        yield item


def _until(cancel: CancelToken, things: Iterable[_T]) -> Iterator[_T]:
    for thing in things:
        cancel.raise_if_set()
        yield thing


def _uploaded(
    handover: Handover, bucket: Bucket, items: Iterable[Item], cancel: CancelToken, note: str | None = None
) -> list[Item]:
    """Upload several at once. Items may be made as they are taken: one travels while the next is converted."""
    stopped: Future[Item] = Future()
    cancel.on_cancel(lambda: stopped.set_exception(cancel.reason))
    pool = ThreadPoolExecutor(_UPLOADS_AT_ONCE, thread_name_prefix="upload")
    try:
        uploads = [pool.submit(handover.upload, item, bucket, cancel, note) for item in items]
        return [_first(stopped, upload) for upload in uploads]
    finally:
        # Not waited for: when cancelled, what cannot be cut (a host name being looked up) may take its time to end.
        pool.shutdown(wait=False, cancel_futures=True)


def _first(stopped: "Future[Item]", upload: "Future[Item]") -> Item:
    wait([stopped, upload], return_when=FIRST_COMPLETED)
    return (stopped if stopped.done() else upload).result()
