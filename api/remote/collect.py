"""Brings the outputs of a remote run to local disk: decoded from the answer, or streamed from where they were put."""

import binascii
import hashlib
from collections.abc import Sequence
from pathlib import Path

from ..errors import Detail, DiskFull, InputUnavailable, InvalidInput, OutputUnavailable, WorkerError
from ..inputs.download import Downloader
from ..inputs.spool import SizeLimit
from ..jobs.cancel import CancelToken
from ..jobs.events import Emit, OutputProduced
from ..jobs.files import translated_disk_errors
from ..jobs.ports import OutputFile
from ..outputs.facts import media_type
from .result import RemoteFile

# A multiple of four: the pieces of base64 decode one by one.
_PIECE_CHARS = 4 * 256 * 1024
_URLS = frozenset({"url", "s3_url"})


class Collector:
    """One per endpoint. `setting` is what to raise where a file is larger than `max_bytes`."""

    def __init__(self, downloader: Downloader, max_bytes: int, setting: str = "") -> None:
        self._downloader = downloader
        self._max_bytes = max_bytes
        self._setting = setting

    def files(
        self, files: Sequence[RemoteFile], workdir: Path, emit: Emit, cancel: CancelToken
    ) -> tuple[tuple[OutputFile, ...], list[Detail]]:
        """The files in their order, and a finding for each that could not be had. Raises when none could."""
        found: list[OutputFile] = []
        missing: list[Detail] = []
        errors: list[WorkerError] = []
        for number, file in enumerate(files):
            cancel.raise_if_set()
            try:
                fetched, remark = self._best(file, workdir / f"output-{number}", cancel)
            except OutputUnavailable as error:
                errors.append(error)
                missing.append(Detail(node_id=file.node_id, code=error.code, message=error.message))
                continue
            found.append(fetched)
            missing += [Detail(node_id=file.node_id, code="output_missing", message=remark)] if remark else []
            emit(OutputProduced(file.node_id, fetched.filename, fetched.subfolder))
        if errors and not found:
            raise errors[0]
        return tuple(found), missing

    def _best(self, file: RemoteFile, path: Path, cancel: CancelToken) -> tuple[OutputFile, str]:
        """The file itself rather than its preview; the second says when it is the preview after all."""
        if file.whole is None:
            return self._fetched(file, path, cancel), ""
        try:
            return self._fetched(file.whole, path, cancel), ""
        except OutputUnavailable as error:
            return self._fetched(file, path, cancel), f"{error.message} There is only a preview of it."

    def _fetched(self, file: RemoteFile, path: Path, cancel: CancelToken) -> OutputFile:
        if file.type == "base64":
            size_bytes, digest = self._decoded(file, path)
        elif file.type in _URLS:
            size_bytes, digest = self._downloaded(file, path, cancel)
        else:
            raise OutputUnavailable(
                f"{file.filename} was left on the disk of the remote worker: configure S3 there (BUCKET_ENDPOINT_URL)."
            )
        if file.sha256 is not None and file.sha256 != digest:
            raise OutputUnavailable(f"{file.filename} did not arrive as the remote worker made it (sha256).")
        return OutputFile(
            node_id=file.node_id,
            key=file.key,
            index=file.index,
            filename=file.filename,
            subfolder=file.subfolder,
            kind="output",
            reused=file.reused,
            path=path,
            mime_type=media_type(path, file.filename, file.mime_type),
            size_bytes=size_bytes,
            sha256=digest,
        )

    def _decoded(self, file: RemoteFile, path: Path) -> tuple[int, str]:
        digest, size_bytes = hashlib.sha256(), 0
        text = file.data.rpartition(";base64,")[2] if file.data.startswith("data:") else file.data
        try:
            with translated_disk_errors(path), path.open("wb") as out:
                for at in range(0, len(text), _PIECE_CHARS):
                    piece = binascii.a2b_base64(text[at : at + _PIECE_CHARS], strict_mode=True)
                    digest.update(piece)
                    size_bytes += out.write(piece)
        except (binascii.Error, ValueError) as error:
            raise OutputUnavailable(f"{file.filename} did not arrive as base64.") from error
        return size_bytes, digest.hexdigest()

    def _downloaded(self, file: RemoteFile, path: Path, cancel: CancelToken) -> tuple[int, str]:
        limit = SizeLimit(file.filename, self._max_bytes, self._setting)
        try:
            spool = self._downloader.fetch(file.data, path, limit, cancel).spool
        except DiskFull as error:
            raise DiskFull(f"No space left to fetch the output {file.filename} below WORK_DIR.") from error
        except (InvalidInput, InputUnavailable) as error:
            raise OutputUnavailable(error.message) from error
        return spool.size_bytes, spool.sha256
