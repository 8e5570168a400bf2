"""Notices a ComfyUI that answers HTTP but runs nothing any more."""

import re
import time
from collections.abc import Sequence

from ..errors import ComfyError, ComfyWedged
from ..logs import get_logger
from .client import ComfyClient
from .limits import RunLimits
from .stream import ComfyStream
from .worker_thread import WorkerThread

# ComfyUI never starts its worker thread again (still so in 0.38.1) and keeps only log lines since its own start: a
# sign of the thread's end is final, whenever it was written. Python writes it piece by piece, the pieces below being
# one write each; what a node or ComfyUI itself prints (file names and texts of callers) comes as a line or more.
_HEADLINE = ("Exception in thread ", re.compile(r"Thread-\d+ \(prompt_worker\)"), ":\n")
# Of its last 300 writes: Python below 3.13 prints the traceback of a dead thread mark by mark (137 writes of "^" alone
# in the one recorded), which pushes the headline out. Left is a frame of the worker as a write of its own, and its
# line of code in pieces behind it; the errors of nodes, which are no end, are written as one piece.
_FRAME = re.compile(
    r' *File "[^"\n]*[\\/](?:main|execution)\.py", line \d+, in '
    r"(?:prompt_worker|execute|execute_async|get_output_data|process_inputs|\w*map_node_over_list)\n"
)
_INDENT = "    "
# Between two looks at the threads: a process that is ending loses them one by one, but not for so long.
_CONFIRM_S = 0.5

log = get_logger()


class Watchdog:
    """Asked at every look; searches for a reason only when nothing has changed for a while.

    A long silent node is nothing wrong: without evidence it only replaces the socket, which may be deaf.
    """

    def __init__(self, client: ComfyClient, stream: ComfyStream, limits: RunLimits, worker: WorkerThread) -> None:
        self._client = client
        self._stream = stream
        self._stall_s = limits.stall_s
        self._silence_limit_s = limits.silence_limit_s
        self._worker = worker
        self.note_change()

    def note_change(self) -> None:
        """Something happened: the prompt is alive."""
        self._changed_at = time.monotonic()
        self._read_log_at = self._changed_at + self._stall_s / 3
        self._suspect_at = self._changed_at + self._stall_s
        self._gone_since: float | None = None

    def check(self, *, running: bool) -> None:
        """Raises ComfyWedged when its worker thread is dead, or what is `running` has been silent for too long."""
        now = time.monotonic()
        self._look_at_thread(now)
        if now >= self._suspect_at:
            if not self._stream.heard_since(now - self._stall_s):
                self._stream.suspect_deaf()
            self._suspect_at = now + 2 * (now - self._changed_at)
        if now >= self._read_log_at:
            self._read_log_at = now + self._stall_s / 3
            self._read_log()
        if running:
            self._limit_silence(now)

    def _look_at_thread(self, now: float) -> None:
        if not self._worker.is_gone():
            self._gone_since = None
        elif self._gone_since is None:
            self._gone_since = now
        elif now - self._gone_since >= _CONFIRM_S:
            raise _wedged("ComfyUI's worker thread has ended, as a SystemExit in a node makes it do without a word")

    def _read_log(self) -> None:
        if self._worker.is_alive():
            return
        try:
            writes = self._client.logs()
        except ComfyError:
            return
        if worker_died(writes):
            raise _wedged("ComfyUI's worker thread has died")

    def _limit_silence(self, now: float) -> None:
        # Silence of a closed socket says nothing.
        limit_s = self._silence_limit_s
        if limit_s is not None and now - self._changed_at >= limit_s and self._stream.connected:
            raise _wedged(f"ComfyUI has told nothing of the running prompt for {limit_s:g} s (COMFY_SILENCE_LIMIT_S)")


def _wedged(reason: str) -> ComfyWedged:
    log.error("ComfyUI is wedged", reason=reason)
    return ComfyWedged(f"{reason}; it runs nothing until it is restarted.")


def worker_died(log_writes: Sequence[str]) -> bool:
    """Whether the writes to ComfyUI's log show the end of the worker thread. One by a SystemExit leaves none."""
    return any(_is_headline(log_writes, at) or _is_frame(log_writes, at) for at in range(len(log_writes)))


def _is_headline(writes: Sequence[str], at: int) -> bool:
    opening, name, colon = _HEADLINE
    pieces = writes[at : at + 3]
    return len(pieces) == 3 and pieces[0] == opening and name.fullmatch(pieces[1]) is not None and pieces[2] == colon


def _is_frame(writes: Sequence[str], at: int) -> bool:
    if not _FRAME.fullmatch(writes[at]):
        return False
    pieces = [write for write in writes[at + 1 : at + 5] if write][:2]
    return len(pieces) == 2 and pieces[0] == _INDENT and bool(pieces[1].strip()) and "\n" not in pieces[1]
