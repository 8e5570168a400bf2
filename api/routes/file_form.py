"""A form with one file, which goes to its place as it comes: neither memory nor another folder ever holds it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ..errors import Detail, InputTooLarge, InvalidInput
from ..jobs.incoming import Incoming

FILE = "file"
_MOST_PARTS = 100
# Pieces from the socket are gathered: a switch of threads per 64 kB would cost more than the writing.
_WRITTEN_AT_ONCE_BYTES = 1_000_000
_MOST_NAME = 100


@dataclass
class FileForm:
    """What has come: the file's name and the other fields' bytes."""

    filename: str = ""
    fields: dict[str, bytes] = field(default_factory=dict)


async def read_form(request: Request, incoming: Incoming, fields: Mapping[str, int]) -> FileForm:
    """Read the form into `incoming` and, of at most so many bytes each, its `fields`.

    Raises InvalidInput naming the field that is unknown, missing or there twice, InputTooLarge, HTTP's 415.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "A form is needed (multipart/form-data): with curl, -F file=@picture.png.")
    if b"boundary" not in options:
        raise InvalidInput("The form has no boundary in its Content-Type: let the client set that header.")
    parts = _Parts(fields)
    try:
        parser = MultipartParser(options[b"boundary"], parts.callbacks())  # type: ignore[arg-type]
        async for piece in request.stream():
            parser.write(piece)
            if len(parts.waiting) >= _WRITTEN_AT_ONCE_BYTES:
                await asyncio.to_thread(incoming.write, parts.taken())
        parser.finalize()
    except FormParserError as error:
        raise InvalidInput(f"The form cannot be read: {error}.") from None
    await asyncio.to_thread(incoming.write, parts.taken())
    return parts.form()


class _Parts:
    """The parser's callbacks."""

    def __init__(self, fields: Mapping[str, int]) -> None:
        self.waiting = bytearray()
        self._limits = fields
        self._seen: dict[str, bytearray] = {}
        self._filename = ""
        self._count = 0
        self._name = ""
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""

    def callbacks(self) -> Mapping[str, Callable[..., None]]:
        """What MultipartParser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
        }

    def taken(self) -> bytes:
        """The bytes of the file that have come since the last call."""
        taken = bytes(self.waiting)
        self.waiting.clear()
        return taken

    def form(self) -> FileForm:
        """The whole form. Raises InvalidInput when it had no file."""
        if FILE not in self._seen:
            raise _refused(FILE, "missing", f"{FILE} is missing: send the file itself, with curl as -F {FILE}=@name.")
        fields = {name: bytes(value) for name, value in self._seen.items() if name != FILE}
        return FileForm(self._filename, fields)

    def _begin(self) -> None:
        self._count += 1
        if self._count > _MOST_PARTS:
            raise InvalidInput(f"The form has more than {_MOST_PARTS} parts.")
        self._disposition = b""

    def _header_end(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if name in self._seen:
            raise _refused(name, "duplicate_key", f"{name} is given twice.")
        if name == FILE:
            if b"filename" not in options:
                raise _refused(
                    FILE, "not_a_file", f"{FILE} is a text: send it as a file, with curl as -F {FILE}=@name."
                )
            self._filename = options[b"filename"].decode("utf-8", "replace")
        elif name not in self._limits:
            known = ", ".join((FILE, *self._limits))
            raise _refused(name[:_MOST_NAME], "unknown_field", f"{name[:_MOST_NAME]!r} is no field; known: {known}.")
        self._seen[name] = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE:
            self.waiting += data[start:end]
            return
        value, most = self._seen[self._name], self._limits[self._name]
        value += data[start:end]
        if len(value) > most:
            message = f"{self._name} is larger than {most:,} bytes."
            raise InputTooLarge(message, [Detail(field=self._name, code="too_large", message=message)])


def _refused(name: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(message, [Detail(field=name, code=code, message=message)])
