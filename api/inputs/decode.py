"""Inline files: base64, bare or in a data URI, decoded to disk in pieces. Tells them from URLs."""

import base64
import re
from typing import NamedTuple

from ..errors import InvalidInputFile
from ..jobs.quoting import quote
from .findings import not_usable
from .spool import Spool

# Characters decoded at a time; the extra memory an upload of any size costs.
_SLICE = 1 << 20
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]{0,30})://")
_DATA_URI = re.compile(r"\s*data:([^,]{0,300}),", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+")  # it becomes a header of the upload
_FOREIGN = re.compile(r"[^A-Za-z0-9+/=\s]")
_FILE_NAME = re.compile(r"[^\n\0]{0,300}\.[A-Za-z0-9]{2,5}\s*")


class Inline(NamedTuple):
    """A source that holds the content itself: where the base64 begins, and the media type it was declared as."""

    text: str
    start: int
    media_type: str


def url_scheme(source: str) -> str | None:
    """The scheme in lower case when the source is a URL."""
    match = _SCHEME.match(source)
    return match[1].lower() if match else None


def inline(source: str, field: str) -> Inline:
    """Look at the head of the source. Raises InvalidInputFile for a data URI that is not base64."""
    if source[:300].lstrip()[:5].lower() != "data:":
        return Inline(source, 0, "")
    match = _DATA_URI.match(source)
    if not match:
        raise not_usable(field, "a data URI must look like data:image/png;base64,…", "invalid_data_uri")
    # Without ;base64 too: worker-comfyui dropped whatever stood before the comma. What is not base64 shows below.
    media_type = match[1].split(";")[0].strip().lower()
    return Inline(source, match.end(), media_type if _MEDIA_TYPE.fullmatch(media_type) else "")


def decode(source: Inline, spool: Spool, field: str) -> None:
    """Write the decoded content. Whitespace and missing padding are tolerated, anything else foreign is refused."""
    carry, padding = "", 0
    for at in range(source.start, len(source.text), _SLICE):
        piece = "".join(source.text[at : at + _SLICE].split())
        bare = piece.rstrip("=")
        if padding and bare:
            raise _not_base64(source, field, "has padding (=) in the middle")
        padding += len(piece) - len(bare)
        bare = carry + bare
        whole = len(bare) - len(bare) % 4
        carry = bare[whole:]
        _decode_slice(bare[:whole], source, spool, field, at)
    if len(carry) == 1 or padding > 2:
        reason = "does not end as base64 does; it may be cut off"
        raise _foreign_character(source, field, len(source.text)) or _not_base64(source, field, reason)
    if carry:
        _decode_slice(carry + "=" * (4 - len(carry)), source, spool, field, len(source.text))
    if not spool.size_bytes:
        raise not_usable(field, "the file is empty", "empty_file")


def _decode_slice(text: str, source: Inline, spool: Spool, field: str, at: int) -> None:
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        error = _foreign_character(source, field, at) or _not_base64(source, field, "has padding (=) in the middle")
        raise error from None
    spool.write(content)


def _foreign_character(source: Inline, field: str, at: int) -> InvalidInputFile | None:
    # Up to three characters were carried over from the slice before.
    found = _FOREIGN.search(source.text, max(source.start, at - _SLICE))
    if not found:
        return None
    reason = f"has the character {quote(found[0])} at position {found.start() - source.start}"
    return _not_base64(source, field, reason, found[0])


def _not_base64(source: Inline, field: str, reason: str, foreign: str = "") -> InvalidInputFile:
    return not_usable(field, f"not base64: it {reason}. {_advice(source, foreign)}", "invalid_base64")


def _advice(source: Inline, foreign: str) -> str:
    if not source.start and len(source.text) <= 300 and _FILE_NAME.fullmatch(source.text):
        return "It looks like a file name: send the file's content as base64, a data URI or a URL"
    if foreign in {"-", "_"}:
        return "That is the URL-safe alphabet: encode with the standard one, which has + and /"
    return "Send base64, a data URI or an http(s) or s3 URL"
