"""Progress for people: one line that moves on a terminal, plain lines anywhere else."""

import shutil
import time
from collections.abc import Callable
from typing import TextIO

from .client_jobs import Event

_BAR = 24


class ProgressLine:
    """Shows events of one job on `stream`; call `done` before anything else is written there."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._moves = stream.isatty()
        self._clock = clock
        self._started = clock()
        self._percent = 0.0
        self._node = ""
        self._steps = ""
        self._last = ""

    def show(self, event: Event) -> None:
        """Take in an event; draws when that changes what is to be seen."""
        text = self._text(event)
        if text and text != self._last:
            self._last = text
            self._draw(text)

    def done(self) -> None:
        """Leave the line, so that what comes next stands below it."""
        if self._moves and self._last:
            self._stream.write("\n")
            self._stream.flush()
        self._last = ""

    def _text(self, event: Event) -> str:
        data, kind = event.data, event.kind
        if kind == "snapshot":  # how the job stood when the stream began
            kind = {"pending": "queued", "running": "progress"}.get(str(data.get("status")), "")
        if kind == "queued":
            position = data.get("position")
            return f"waiting, {position} ahead" if position else "waiting"
        if kind == "started":
            return f"waiting in ComfyUI, {data['ahead']} ahead" if data.get("ahead") else "running"
        if kind == "progress":
            return self._progress(event)
        if kind == "output":
            return f"output {data['filename']}" if data.get("filename") and not self._moves else ""
        return str(data.get("status") or "ended") if kind == "finished" else ""

    def _progress(self, event: Event) -> str:
        data = event.data
        percent = data.get("percent")
        if isinstance(percent, int | float):
            self._percent = max(self._percent, min(float(percent), 100.0))
        node = str(data.get("node") or self._node)
        if data.get("node_id") and not data.get("steps"):
            self._steps = ""
        self._node = node
        if data.get("steps"):
            self._steps = f" {data.get('step')}/{data['steps']}"
        percent_text = f"{self._percent:3.0f} %"
        if not self._moves:  # lines of a log: per node and ten percent, not per step
            return f"{self._percent // 10 * 10:3.0f} % {node}".rstrip()
        filled = round(self._percent / 100 * _BAR)
        return f"[{'#' * filled}{'.' * (_BAR - filled)}] {percent_text} {node}{self._steps}"

    def _draw(self, text: str) -> None:
        if not self._moves:
            self._stream.write(f"{text}\n")
        else:
            clock = f" {self._clock() - self._started:4.0f} s"
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[K{(text + clock)[:width]}")
        self._stream.flush()
