"""Progress for people: one line that moves on a terminal, plain lines anywhere else."""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from .client_jobs import Event

_BAR = 24
# A job that waits for longer is one whose user wonders why, and then now and again.
_WONDERS_AFTER_S = 3.0
_WONDERS_EVERY_S = 10.0


class ProgressLine:
    """Shows events of one job on `stream`; call `done` before anything else is written there.

    Threads may share it.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._moves = stream.isatty()
        self._clock = clock
        self._started = clock()
        self._percent = 0.0
        self._node = ""
        self._steps = ""
        self._last = ""
        self._waits_since: float | None = None
        self._lock = threading.Lock()

    @property
    def waited_s(self) -> float | None:
        """How long the job has been seen waiting; None while it is not."""
        since = self._waits_since
        return None if since is None else self._clock() - since

    def show(self, event: Event) -> None:
        """Take in an event; draws when that changes what is to be seen."""
        with self._lock:
            text = self._text(event)
            if text:
                since = self._clock() if self._waits_since is None else self._waits_since
                self._waits_since = since if _kind(event) == "queued" else None
                self._show(text)

    def explain(self, why: str) -> None:
        """Say why the job waits, if it still does."""
        with self._lock:
            if self._waits_since is not None:
                self._show(f"waiting: {why}")

    def done(self) -> None:
        """Leave the line, so that what comes next stands below it."""
        with self._lock:
            if self._moves and self._last:
                self._stream.write("\n")
                self._stream.flush()
            self._last = ""
            self._waits_since = None

    def _show(self, text: str) -> None:
        if text != self._last:
            self._last = text
            self._draw(text)

    def _text(self, event: Event) -> str:
        data, kind = event.data, _kind(event)
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
            if text.startswith("waiting: ") and len(text) > width:  # a sentence cut off says nothing: above the line
                self._stream.write(f"\r\x1b[K{text}\n")
                text = "waiting"
            self._stream.write(f"\r\x1b[K{(text + clock)[:width]}")
        self._stream.flush()


@contextlib.contextmanager
def explaining(
    line: ProgressLine,
    ask: Callable[[], str | None],
    after_s: float = _WONDERS_AFTER_S,
    every_s: float = _WONDERS_EVERY_S,
) -> Iterator[None]:
    """Within it, a thread asks why the job waits once it has waited for a while, and has `line` say so."""
    over = threading.Event()

    def look() -> None:
        due_s = after_s
        while not over.wait(min(after_s / 3, 1.0)):
            waited_s = line.waited_s
            if waited_s is None:
                due_s = after_s
            elif waited_s >= due_s:
                due_s = waited_s + every_s
                if (why := ask()) and not over.is_set():
                    line.explain(why)

    # A daemon: an answer that does not come shall not keep the program from ending.
    threading.Thread(target=look, name="why-it-waits", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _kind(event: Event) -> str:
    if event.kind != "snapshot":  # which is how the job stood when the stream began
        return event.kind
    return {"pending": "queued", "running": "progress"}.get(str(event.data.get("status")), "")
