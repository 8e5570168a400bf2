"""Calls of named workflows as they arrive: JSON or a form, read no further than the workflow's files may be long."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import Message, Receive

from ..errors import Detail, InputTooLarge, InvalidInput
from ..jobs.request_findings import invalid
from ..workflows.binding import FileLimits
from ..workflows.input_kinds import TextInput
from ..workflows.manifest import RESERVED_INPUTS, Manifest, file_inputs
from .body import optional_json_body

# What seed clients call the picture, whatever the workflow calls it.
_PICTURE = "imageFile"
_MOST_INPUTS = 100
_FILE = "File"
_MAX_FIELDS = 200
_MAX_FIELD_BYTES = 1_000_000
_HASHED_AT_ONCE_BYTES = 1_000_000
_YES, _NO = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off", ""})


@dataclass(frozen=True)
class Call:
    """`inputs` by the workflow's names, `files` by the sources that stand for them there.

    `around` is what a body says beside the inputs; `sent_as` are the caller's names where they are others.
    """

    request: Request
    inputs: Mapping[str, Any] = field(repr=False)
    around: Mapping[str, Any] = field(repr=False)
    files: Mapping[str, BinaryIO] = field(default_factory=dict)
    sent_as: Mapping[str, str] = field(default_factory=dict)
    fingerprint: bytes | None = None

    @property
    def is_async(self) -> bool:
        """What the body says. Raises InvalidInput."""
        return flag("async", self.around.get("async"))


def flag(name: str, value: Any) -> bool:
    """A yes or no, also as text. Raises InvalidInput."""
    word = str(value).lower() if isinstance(value, bool | int | str) else ""
    if value is None or (word in _NO and value != {}):
        return False
    if word in _YES:
        return True
    raise invalid(name, "wrong_type", f"{name} must be true or false.")


@asynccontextmanager
async def reading(request: Request, manifest: Manifest, limits: FileLimits) -> AsyncIterator[Call]:
    """The request as a call; its files are open until the block is left. Raises InvalidInput, InputTooLarge."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    is_form = kind == b"multipart/form-data"
    most_bytes = _most_bytes(manifest, limits, encoded=not is_form)
    bounded = Request(request.scope, _bounded(request.receive, most_bytes, _too_large(manifest, limits)))
    if not is_form:
        yield _from_json(bounded, await optional_json_body(bounded), manifest)
        return
    if b"boundary" not in options:
        raise InvalidInput("The form has no boundary in its Content-Type: let the client set that header.")
    form = await _form(bounded, len(file_inputs(manifest)))
    try:
        yield await run_in_threadpool(_from_form, bounded, form, manifest, limits)
    finally:
        await form.close()


def _most_bytes(manifest: Manifest, limits: FileLimits, *, encoded: bool) -> int:
    files = sum(limits.max_bytes_of(kind) for kind in file_inputs(manifest).values())
    texts = sum(kind.max_length for kind in manifest.inputs.values() if isinstance(kind, TextInput))
    # Line breaks and escapes make base64 a little longer than a third.
    return int(files * (1.4 if encoded else 1)) + 4 * texts + _MAX_FIELD_BYTES


def _too_large(manifest: Manifest, limits: FileLimits) -> InputTooLarge:
    """What is said of a body in which no file can be right: how large each may be."""
    most = {name: f"{limits.max_bytes_of(kind):,} bytes" for name, kind in file_inputs(manifest).items()}
    told = ", ".join(f"{name} may have {size}" for name, size in most.items())
    details = [Detail(field=name, code="too_large", message=f"{name} may have {size}.") for name, size in most.items()]
    return InputTooLarge(f"The body is too large: {told or 'this workflow takes no files'}.", details)


def _bounded(receive: Receive, max_bytes: int, error: InputTooLarge) -> Receive:
    left = max_bytes

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise error
        return message

    return bounded


async def _form(request: Request, most_files: int) -> FormData:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "Compressed bodies are not taken: send it without Content-Encoding.")
    try:
        # Files go to disk as they come.
        parser = MultiPartParser(
            request.headers,
            request.stream(),
            max_files=most_files + 1,
            max_fields=_MAX_FIELDS,
            max_part_size=_MAX_FIELD_BYTES,
        )
        return await parser.parse()
    except MultiPartException as error:
        raise InvalidInput(f"The form cannot be read: {error.message}") from None
    except KeyError:
        raise InvalidInput("The form cannot be read: a part has no name.") from None


def _from_json(request: Request, body: dict[str, Any], manifest: Manifest) -> Call:
    around = {key: value for key, value in body.items() if key in RESERVED_INPUTS}
    names = {key: _own_name(key, manifest) for key in body if key not in RESERVED_INPUTS}
    _check_once(list(names.values()))
    sent_as = {own: key for key, own in names.items() if own != key}
    return Call(request, {own: body[key] for key, own in names.items()}, around, sent_as=sent_as)


def _from_form(request: Request, form: FormData, manifest: Manifest, limits: FileLimits) -> Call:
    inputs: dict[str, Any] = {}
    around: dict[str, Any] = {}
    files: dict[str, BinaryIO] = {}
    sent_as: dict[str, str] = {}
    marks: list[tuple[str, str]] = []
    _check_once([_own_name(key, manifest) for key, value in form.multi_items() if not _is_blank(key, value, manifest)])
    for key, value in form.multi_items():
        name = _own_name(key, manifest)
        if _is_blank(key, value, manifest):
            continue
        if name != key:
            sent_as[name] = key
        if isinstance(value, str):
            (around if key in RESERVED_INPUTS else inputs)[name] = _labels(key, value)
            marks.append((name, value))
            continue
        _check_file(key, name, value, manifest, limits)
        source = f"form:{name}"
        inputs[name], files[source] = source, value.file
        marks.append((name, _digest(value.file)))
    return Call(request, inputs, around, files, sent_as, json.dumps(sorted(marks)).encode())


def _own_name(key: str, manifest: Manifest) -> str:
    """The workflow's name of an input: `image` may be sent as imageFile, and so may its first file."""
    if key in manifest.inputs or key in RESERVED_INPUTS:
        return key
    names = list(file_inputs(manifest))
    if key.removesuffix(_FILE) in names:
        return key.removesuffix(_FILE)
    return names[0] if key == _PICTURE and names else key


def _check_once(names: list[str]) -> None:
    # Each that is unknown is told with what is nearest to it, which takes its time.
    if len(names) > _MOST_INPUTS:
        raise InvalidInput(f"The call has {len(names)} inputs; no workflow takes more than {_MOST_INPUTS}.")
    for name in names:
        if names.count(name) > 1:
            raise invalid(name, "duplicate_key", f"{name} is given twice.")


def _is_blank(key: str, value: str | UploadFile, manifest: Manifest) -> bool:
    """What browsers send of a field that was left empty."""
    if isinstance(value, UploadFile):
        return not value.filename and not value.size
    return value == "" and not isinstance(manifest.inputs.get(key), TextInput)


def _labels(key: str, value: str) -> Any:
    if key != "labels":
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _check_file(key: str, name: str, value: UploadFile, manifest: Manifest, limits: FileLimits) -> None:
    kind = file_inputs(manifest).get(name)
    if kind is None:
        names = ", ".join(file_inputs(manifest)) or "none"
        raise invalid(key, "unknown_file", f"{key} is no file this workflow takes; it takes {names}.")
    if not value.size:
        raise invalid(key, "empty_file", f"{key} is empty: send the file itself, as curl does with -F {key}=@file.")
    most = limits.max_bytes_of(kind)
    if value.size > most:
        message = f"{key}: the file is larger than {most:,} bytes."
        raise InputTooLarge(message, [Detail(field=key, code="too_large", message=message)])


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(_HASHED_AT_ONCE_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
