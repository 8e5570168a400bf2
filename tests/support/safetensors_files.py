"""Safetensors files for tests: whole ones, and their header alone."""

import json
from typing import Any


def whole(values: int = 4, name: str = "a") -> bytes:
    """One F32 tensor of so many values."""
    tensors = {name: {"dtype": "F32", "shape": [values], "data_offsets": [0, values * 4]}}
    return made(tensors, bytes(values * 4))


def made(tensors: Any, content: bytes) -> bytes:
    header = json.dumps(tensors).encode()
    return len(header).to_bytes(8, "little") + header + content
