"""Tells from the operating system whether ComfyUI's worker thread has ended; a SystemExit ends it without a log line.

Sound, not complete: it says "gone" only when no thread is left that could be the worker. A silent node is none.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
# Threads of CUDA and of torch name themselves; those of Python bear the name of the process.
_FOREIGN = ("cuda", "pt_")

# Pid and start time: a pid alone may come again.
_Process = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Look:
    """The threads of one process at one moment: id → context switches so far. The main thread is left out."""

    process: _Process
    switches: Mapping[int, int]


class WorkerThread:
    """Knows which threads may be the worker. ComfyUI starts it before its port opens, and only once (0.3.64, 0.38.1).

    `pid` gives the process, None when it is not ours to see: then nothing is ever told. Safe to share.
    """

    def __init__(self, pid: Callable[[], int | None]) -> None:
        self._pid = pid
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._candidates: frozenset[int] | None = None
        self._sure = False  # the one candidate left is the worker

    def meet(self, ask: Callable[[], object]) -> None:
        """Get to know a new process. `ask` has to get an answer of it over HTTP, which tells that the worker exists."""
        process = self._identity()
        if process is None or process == self._process:
            return
        ask()
        look = self._look()
        if look and look.process == process:  # else it was not this one that answered
            with self._lock:
                self._process, self._candidates, self._sure = process, frozenset(look.switches), False

    def before_run(self) -> Look | None:
        """To be taken before a prompt is submitted; None when there is nothing left to learn."""
        return None if self._sure or self._candidates is None else self._look()

    def after_start(self, before: Look | None) -> None:
        """ComfyUI has begun to run a prompt since `before`: a thread that has not moved is not the worker."""
        self._narrow(before, self._look() if before else None)

    def after_run(self, before: Look | None) -> None:
        """ComfyUI has run a prompt to its end since `before`, so its worker is there now."""
        after = self._look() if before else None
        self._narrow(before, after)
        with self._lock:
            left = self._candidates
            self._sure = bool(after and left and len(left) == 1 and left <= after.switches.keys())

    def is_gone(self) -> bool:
        """Whether the process lives without it. Ask twice: while a process ends, its threads go one by one."""
        present = self._present()
        return present is not None and not present

    def is_alive(self) -> bool:
        """Whether it is there for certain."""
        return bool(self._present()) and self._sure

    def _narrow(self, before: Look | None, after: Look | None) -> None:
        if not before or not after or before.process != after.process:
            return
        idle = {thread for thread, count in after.switches.items() if before.switches.get(thread) == count}
        with self._lock:
            if self._candidates is not None and self._process == after.process:
                # None left: this ComfyUI runs its prompts in some other way.
                self._candidates = (self._candidates - idle) or None

    def _present(self) -> frozenset[int] | None:
        """The candidates that still run; None when nothing can be told."""
        look = self._look() if self._candidates is not None else None
        with self._lock:
            if look is None or self._candidates is None or look.process != self._process:
                return None
            self._candidates &= look.switches.keys()
            return self._candidates

    def _identity(self) -> _Process | None:
        pid = self._pid()
        try:
            stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
            fields = stat.rpartition(")")[2].split()
            return (pid, fields[19]) if pid is not None and fields[0] not in {"Z", "X"} else None
        except (OSError, IndexError):
            return None

    def _look(self) -> Look | None:
        process = self._identity()
        if process is None:
            return None
        pid = process[0]
        switches: dict[int, int] = {}
        try:
            for task in (_PROC / str(pid) / "task").iterdir():
                if task.name != str(pid) and (count := _switches(task)) is not None:
                    switches[int(task.name)] = count
        except OSError:
            return None
        return Look(process, switches)


def _switches(task: Path) -> int | None:
    """Context switches of a thread; None when it has just ended or cannot be the worker."""
    try:
        lines = (task / "status").read_text(encoding="utf-8", errors="replace").splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        if fields["Name"].strip().startswith(_FOREIGN) or fields["State"].split()[0] in {"Z", "X"}:
            return None
        return int(fields["voluntary_ctxt_switches"]) + int(fields["nonvoluntary_ctxt_switches"])
    except (OSError, KeyError, ValueError, IndexError):
        return None
