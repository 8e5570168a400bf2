"""Whether a file is whole safetensors: the header's own arithmetic has to come out. Reads no tensor."""

import json
import math
from pathlib import Path
from typing import Any

from ..errors import InvalidInputFile

SUFFIXES = frozenset({".safetensors", ".sft"})
# The limit of the format's own library.
_MAX_HEADER_BYTES = 100_000_000
_LENGTH_BYTES = 8
# Bits, since some types have less than a byte.
_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


def check(path: Path) -> None:
    """Raises InvalidInputFile saying what is wrong with the file; OSError when it cannot be read."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if not 2 <= header_bytes <= min(_MAX_HEADER_BYTES, size_bytes - _LENGTH_BYTES):
            raise _broken("it does not begin like safetensors")
        try:
            header = json.loads(file.read(header_bytes))
        except (ValueError, RecursionError):
            raise _broken("its header is not JSON") from None
    if not isinstance(header, dict):
        raise _broken("its header is no object")
    tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
    ends = sorted(_span(tensor) for tensor in tensors)
    place = 0
    for start, end in ends:
        if start != place:
            raise _broken("its tensors overlap or leave gaps")
        place = end
    if place != size_bytes - _LENGTH_BYTES - header_bytes:
        raise _broken(f"its tensors take {place:,} bytes and it has {size_bytes - _LENGTH_BYTES - header_bytes:,}")


def _span(tensor: Any) -> tuple[int, int]:
    try:
        start, end = (int(offset) for offset in tensor["data_offsets"])
        bits = _BITS.get(tensor["dtype"])
        count = math.prod(int(length) for length in tensor["shape"])
    except (TypeError, KeyError, ValueError):
        raise _broken("a tensor in its header has no place, type or shape") from None
    if not 0 <= start <= end or (bits is not None and (end - start) * 8 != count * bits):
        raise _broken("a tensor in its header does not fit its place")
    return start, end


def _broken(reason: str) -> InvalidInputFile:
    return InvalidInputFile(f"The file is not a whole safetensors file: {reason}.")
