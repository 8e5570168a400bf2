"""Keeps the last writes for GET /internal/logs, as ComfyUI does with its stdout and stderr: lines or parts of one."""

import io
import sys
import time
from collections import deque
from typing import TextIO

KEPT_WRITES = 300
_kept: deque[tuple[str, str]] = deque(maxlen=KEPT_WRITES)


class _Tee(io.TextIOBase):
    """Writes through to the real stream and keeps a copy of each write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        _kept.append((time.strftime("%Y-%m-%dT%H:%M:%S"), text))
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return False


def install() -> None:
    """From now on everything printed is kept as well."""
    sys.stdout = _Tee(sys.stdout)
    sys.stderr = _Tee(sys.stderr)


def text() -> str:
    return "".join(f"{when} - {line}" for when, line in _kept)


def entries() -> list[dict[str, str]]:
    return [{"t": when, "m": line} for when, line in _kept]
