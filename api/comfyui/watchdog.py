"""Notices a ComfyUI that answers HTTP but runs nothing any more."""

import re
import time
from collections.abc import Sequence

from ..errors import ComfyError, ComfyWedged
from ..logs import get_logger
from .client import ComfyClient
from .stream import ComfyStream

# ComfyUI never starts its worker thread again (still so in 0.38.1) and keeps only log lines since its own start: a
# sign of the thread's end is final, whenever it was written.
_HEADLINE = re.compile(r"Exception in thread [^\n]*\(prompt_worker\)")
# Of its last 300 writes: Python below 3.13 prints the traceback of a dead thread mark by mark (137 writes of "^" alone
# in the one recorded), which pushes the headline out. Left is a frame of the worker as a write of its own; the errors
# of nodes, which are no end, are written as one piece.
_FRAME = re.compile(
    r' *File "[^"\n]*[\\/](?:main|execution)\.py", line \d+, in '
    r"(?:prompt_worker|execute|execute_async|get_output_data|process_inputs|\w*map_node_over_list)\n?"
)

log = get_logger()


class Watchdog:
    """Asked at every look; searches for a reason only when nothing has changed for a while.

    A long silent node is nothing wrong: without evidence it only replaces the socket, which may be deaf.
    """

    def __init__(self, client: ComfyClient, stream: ComfyStream, stall_s: float) -> None:
        self._client = client
        self._stream = stream
        self._stall_s = stall_s
        self.note_change()

    def note_change(self) -> None:
        """Something happened: the prompt is alive."""
        self._changed_at = time.monotonic()
        self._read_log_at = self._changed_at + self._stall_s / 3
        self._suspect_at = self._changed_at + self._stall_s

    def check(self) -> None:
        """Raises ComfyWedged when the log says that the worker thread is dead."""
        now = time.monotonic()
        if now >= self._suspect_at:
            if not self._stream.heard_since(now - self._stall_s):
                self._stream.suspect_deaf()
            self._suspect_at = now + 2 * (now - self._changed_at)
        if now >= self._read_log_at:
            self._read_log_at = now + self._stall_s / 3
            self._read_log()

    def _read_log(self) -> None:
        try:
            writes = self._client.logs()
        except ComfyError:
            return
        if worker_died(writes):
            log.error("ComfyUI's worker thread is dead")
            raise ComfyWedged("ComfyUI's worker thread has died; it runs nothing until it is restarted.")


def worker_died(log_writes: Sequence[str]) -> bool:
    """Whether the log shows the end of the worker thread. A SystemExit in a node ends it without a line."""
    return bool(_HEADLINE.search("".join(log_writes))) or any(map(_FRAME.fullmatch, log_writes))
