"""Puts one file into a bucket: whole when it is small, in parts when it is large. Leaves no half upload behind."""

import contextlib
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import WorkerError
from .jobs.cancel import CancelToken
from .s3_cutoff import Cutoff

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

# A file travels in parts of 8 MiB, two at a time, read as they are sent: constant memory whatever its size.
_PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 2
_ABORT_LIMIT_S = 10.0


def put_file(client: "S3Client", path: Path, bucket: str, key: str, content_type: str) -> None:
    """Upload the file. Raises botocore's own errors, OSError, or the reason the cutoff has ended."""
    size_bytes = path.stat().st_size
    if size_bytes > _PART_BYTES:
        _Multipart(client, path, bucket, key).put(size_bytes, content_type)
        return
    with path.open("rb") as body:
        client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)


class _Multipart:
    def __init__(self, client: "S3Client", path: Path, bucket: str, key: str) -> None:
        self._client = client
        self._path = path
        self._bucket = bucket
        self._key = key

    def put(self, size_bytes: int, content_type: str) -> None:
        made = self._client.create_multipart_upload(Bucket=self._bucket, Key=self._key, ContentType=content_type)
        upload_id = made["UploadId"]
        try:
            parts = self._put_parts(upload_id, -(-size_bytes // _PART_BYTES))
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self._key, UploadId=upload_id, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            # Not a daemon: a worker that is being stopped still tidies up, and nobody waits for it otherwise.
            threading.Thread(target=self._abort, args=(upload_id,), name="abort-upload").start()
            raise

    def _put_parts(self, upload_id: str, count: int) -> "list[CompletedPartTypeDef]":
        pool = ThreadPoolExecutor(_PARTS_AT_ONCE, thread_name_prefix="upload-part")
        try:
            numbers = range(1, count + 1)
            parts = [
                pool.submit(contextvars.copy_context().run, self._put_part, upload_id, number) for number in numbers
            ]
            return [part.result() for part in parts]
        finally:
            pool.shutdown(cancel_futures=True)

    def _put_part(self, upload_id: str, number: int) -> "CompletedPartTypeDef":
        from s3transfer.utils import ReadFileChunk

        start = (number - 1) * _PART_BYTES
        with ReadFileChunk.from_filename(str(self._path), start, _PART_BYTES) as body:
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=upload_id,
                PartNumber=number,
                Body=body,  # type: ignore[arg-type]  # as much of a file as botocore needs
            )
        return {"ETag": answer["ETag"], "PartNumber": number}

    def _abort(self, upload_id: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        # Best effort: where the storage does not answer, its own rules for unfinished uploads have to do.
        with (
            contextlib.suppress(BotoCoreError, ClientError, WorkerError, OSError),
            Cutoff(CancelToken(), _ABORT_LIMIT_S),
        ):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=upload_id)
