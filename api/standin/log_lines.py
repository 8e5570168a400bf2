"""Keeps the last printed lines for GET /internal/logs, as ComfyUI does with its stdout and stderr."""

import io
import sys
import time
from collections import deque
from typing import TextIO

KEPT_LINES = 300
_kept: deque[tuple[str, str]] = deque(maxlen=KEPT_LINES)


class _Tee(io.TextIOBase):
    """Writes through to the real stream and keeps a copy of each whole line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            _kept.append((time.strftime("%Y-%m-%dT%H:%M:%S"), f"{line}\n"))
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
