"""The header of a safetensors file: whether its arithmetic comes out, and what it lists. Reads no tensor."""

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
    tensors, header_bytes = _read(path, size_bytes)
    ends = sorted(_span(tensor) for tensor in tensors.values())
    place = 0
    for start, end in ends:
        if start != place:
            raise _broken("its tensors overlap or leave gaps")
        place = end
    if place != size_bytes - _LENGTH_BYTES - header_bytes:
        raise _broken(f"its tensors take {place:,} bytes and it has {size_bytes - _LENGTH_BYTES - header_bytes:,}")


def shapes(path: Path) -> dict[str, list[int]]:
    """The shape of each tensor by its name. Raises InvalidInputFile, OSError."""
    tensors, _header_bytes = _read(path, path.stat().st_size)
    return {
        name: list(tensor["shape"])
        for name, tensor in tensors.items()
        if isinstance(tensor, dict) and isinstance(tensor.get("shape"), list)
    }


def _read(path: Path, size_bytes: int) -> tuple[dict[str, Any], int]:
    """What the header says of each tensor, and the header's length."""
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
    header.pop("__metadata__", None)
    return header, header_bytes


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
