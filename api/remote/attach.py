"""The input files of a job on their way to a remote endpoint: in the request while there is room, else by URL."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from ..errors import Detail, InputTooLarge
from ..ids import JobId
from ..jobs.ports import InputFile


class Share(Protocol):
    """Where files lie for an endpoint to read, each job's apart from all others."""

    def put(self, job_id: JobId, file: InputFile) -> str:
        """The URL of the file, which is there from now on. Raises StorageUnreachable."""

    def remove(self, job_id: JobId, files: Sequence[InputFile]) -> None:
        """Nobody reads them any more. Never raises: they may also not be there."""


def attached(
    job_id: JobId, files: Sequence[InputFile], room_bytes: int, share: Share | None
) -> Iterator[tuple[InputFile, str]]:
    """Each file with its content as base64, or with its URL where the request has no room for it.

    Raises InputTooLarge before anything is encoded or shared; what `share` raises.
    """
    by_url = _too_many(files, room_bytes)
    if by_url and share is None:
        total = sum(file.size_bytes for file in files)
        message = (
            f"The input files have {total:,} bytes together and the request to the remote target has room for "
            f"{max(room_bytes, 0) // 4 * 3:,}: send smaller ones, or configure S3 (BUCKET_ENDPOINT_URL)."
        )
        raise InputTooLarge(message, [Detail(field="images", code="too_large", message=message)])
    for file in files:
        if file.name in by_url and share is not None:
            yield file, share.put(job_id, file)
        else:
            yield file, base64.b64encode(file.path.read_bytes()).decode("ascii")


def detach(job_id: JobId, files: Sequence[InputFile], room_bytes: int, share: Share | None) -> None:
    """Take back what `attached` has shared for the job, in whatever process."""
    if share is not None and room_bytes >= 0 and (shared := _too_many(files, room_bytes)):
        share.remove(job_id, [*shared.values()])


def _too_many(files: Sequence[InputFile], room_bytes: int) -> Mapping[str, InputFile]:
    """The largest files, as many as must go for the rest to fit."""
    left = sorted(files, key=lambda file: file.size_bytes)
    out: dict[str, InputFile] = {}
    while left and sum(map(_encoded_bytes, left)) > room_bytes:
        file = left.pop()
        out[file.name] = file
    return out


def _encoded_bytes(file: InputFile) -> int:
    return (file.size_bytes + 2) // 3 * 4
