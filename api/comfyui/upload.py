"""The multipart body of an upload, read from disk in pieces."""

import secrets
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import quote


class UploadBody:
    """`POST /upload/image` for one file, streamed: the file is never in memory as a whole. A context manager."""

    def __init__(self, path: Path, name: str, fields: dict[str, str], content_type: str) -> None:
        self._path = path
        self._boundary = secrets.token_hex(16)
        content_type = content_type if content_type.isprintable() else "application/octet-stream"
        head = b"".join(self._field(key, value) for key, value in fields.items())
        self._head = head + self._part(f'name="image"; {_filename(name)}', f"Content-Type: {content_type}\r\n")
        self._tail = f"\r\n--{self._boundary}--\r\n".encode()
        self._length = len(self._head) + path.stat().st_size + len(self._tail)
        self._file: BinaryIO | None = None
        self._stage = 0

    @property
    def content_type(self) -> str:
        """The value of the request's Content-Type header."""
        return f"multipart/form-data; boundary={self._boundary}"

    def __len__(self) -> int:
        return self._length

    def __enter__(self) -> Self:
        self._file = self._path.open("rb")
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def read(self, size: int = -1, /) -> bytes:
        """The next piece; empty at the end."""
        if self._stage == 0:
            self._stage = 1
            return self._head
        if self._stage == 1:
            if piece := self._file.read(size) if self._file else b"":
                return piece
            self._stage = 2
            return self._tail
        return b""

    def _field(self, name: str, value: str) -> bytes:
        return self._part(f'name="{name}"') + value.encode() + b"\r\n"

    def _part(self, disposition: str, more: str = "") -> bytes:
        return f"--{self._boundary}\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n".encode()


def _filename(name: str) -> str:
    # aiohttp takes percent-escapes in filename= literally (grün.png became gr%C3%BCn.png); RFC 5987 it decodes.
    if name.isascii() and name.isprintable() and not set(name) & set('"\\;%'):
        return f'filename="{name}"'
    return f"filename*=UTF-8''{quote(name, safe='')}"
