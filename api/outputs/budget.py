"""How much of the encoded result each output takes, and which ones have to go another way. Knows no sink."""

import json
from collections.abc import Sequence

from ..errors import Detail
from ..jobs.ports import Delivered, OutputFile
from .inline import encoded_bytes

# Keys, numbers, digest, punctuation and a note: what an entry takes besides its names and its data.
_ENTRY_BYTES = 900
# The result's own keys and its envelope.
_RESULT_BYTES = 2048
# What a spilled file leaves in the result: an address, and where it stays on disk, a preview worth looking at.
_ADDRESS_BYTES = 2048
_PREVIEW_BYTES = 64 * 1024


def entry_bytes(file: OutputFile, data_bytes: int) -> int:
    """JSON of one entry with so much data in it."""
    names = json.dumps([file.filename, file.subfolder, file.node_id, file.mime_type])
    return _ENTRY_BYTES + len(names) + data_bytes


def inline_bytes(file: OutputFile) -> int:
    """JSON of one entry with the file as base64."""
    return entry_bytes(file, encoded_bytes(file.size_bytes))


def spent_bytes(entries: Sequence[tuple[OutputFile, Delivered]], details: Sequence[Detail]) -> int:
    """JSON of what is in the result already; its details are told twice, as text and as objects."""
    told = sum(2 * len(json.dumps(detail, default=str)) for detail in details)
    return _RESULT_BYTES + told + sum(entry_bytes(file, len(where.data)) for file, where in entries)


def to_spill(files: Sequence[OutputFile], room_bytes: int) -> set[int]:
    """Indexes of the files to leave out, biggest first, until the others fit with what the spilled ones leave."""
    spilled: set[int] = set()
    total = sum(inline_bytes(file) for file in files)
    for index in sorted(range(len(files)), key=lambda at: files[at].size_bytes, reverse=True):
        if total <= room_bytes:
            break
        preview_bytes = _PREVIEW_BYTES if files[index].mime_type.startswith("image/") else 0
        left_behind = min(_ADDRESS_BYTES + preview_bytes, room_bytes // len(files), inline_bytes(files[index]))
        total += left_behind - inline_bytes(files[index])
        spilled.add(index)
    return spilled


def preview_limit_bytes(file: OutputFile, room_bytes: int, sharers: int) -> int:
    """Largest preview file that fits, when so many previews share the room; 0 or less when none does."""
    share = room_bytes // sharers - entry_bytes(file, _ADDRESS_BYTES)
    return share // 4 * 3
