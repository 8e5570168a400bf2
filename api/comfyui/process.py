"""The ComfyUI process as start.sh keeps it: alive or not, its log, how its last one ended. Knows no HTTP, no jobs."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .crash import START_MARK, CrashReport, ExitRecord, examine, has_end_mark, last_life
from .log_lines import readable_lines

_AUTOPSY_BYTES = 256_000
_SETTLE_S = 2.0  # start.sh needs a moment to write down how ComfyUI ended


class ComfyProcess:
    """Looks at the three files start.sh keeps. Without them ComfyUI is somebody else's, and nothing is known of it."""

    def __init__(self, pid_file: Path, exit_file: Path, log_file: Path, *, quote_log: bool = True) -> None:
        self._quote_log = quote_log
        self._pid_file = pid_file
        self._exit_file = exit_file
        self._log_file = log_file

    @classmethod
    def in_dir(cls, run_dir: Path, *, quote_log: bool = True) -> "ComfyProcess":
        """The process of the start.sh whose COMFY_RUN_DIR this is. Without `quote_log` reports hold no log lines."""
        return cls(run_dir / "comfyui.pid", run_dir / "comfyui.exit", run_dir / "comfyui.log", quote_log=quote_log)

    def supervised(self) -> bool:
        """Whether start.sh runs (or ran, or gave up) a ComfyUI here."""
        return self._pid_file.exists() or self._exit_file.exists()

    def pid(self) -> int | None:
        """Pid of the present ComfyUI; another one than before means that it was restarted."""
        try:
            return int(self._pid_file.read_text())
        except (OSError, ValueError):
            return None

    def alive(self) -> bool | None:
        """Whether its process lives; None when nobody supervises it, so that nobody knows."""
        pid = self.pid()
        if pid is not None:
            return process_alive(pid)
        return False if self.supervised() else None

    def started_at(self) -> float | None:
        """Epoch seconds of the present ComfyUI's start."""
        try:
            return self._pid_file.stat().st_mtime
        except OSError:
            return None

    def gave_up(self) -> bool:
        """Whether start.sh will not start it again: it died too often before it ever came up."""
        record = self.last_exit()
        return record is not None and record.gave_up and not self.alive()

    def last_exit(self) -> ExitRecord | None:
        """How the last ComfyUI that ended did so."""
        try:
            data = json.loads(self._exit_file.read_text())
        except (OSError, ValueError):
            return None
        return exit_record(data) if isinstance(data, dict) else None

    def kill(self, grace_s: float = 5.0) -> bool:
        """End a ComfyUI that hangs; start.sh then starts another. True when it is gone."""
        pid = self.pid()
        if pid is None:
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return True
            except PermissionError:
                return False
            if _wait_until(lambda: not process_alive(pid), grace_s):
                return True
        return False

    def log_tail(self, lines: int = 30, max_bytes: int = 64_000) -> list[str]:
        """The last lines of its log, secrets masked."""
        return readable_lines(self._read_log(max_bytes))[-lines:] if lines > 0 else []

    def autopsy(
        self, log_text: str | None = None, *, last_node: str | None = None, since: float | None = None
    ) -> CrashReport:
        """Why ComfyUI died or does not work. `since`: deaths before that moment are not meant."""
        self._await_record()
        alive = self.alive()
        record = self.last_exit()
        if record is not None and (since is not None and record.at < since):
            record = None
        running = record is None and alive is True
        latest = running or alive is not True
        life = last_life(log_text, latest=latest) if log_text is not None else self._read_life(latest, record)
        return examine(life, record, running=running, last_node=last_node, quote=self._quote_log)

    def _read_life(self, latest: bool, record: ExitRecord | None) -> str:
        """One process's part of the log; of a dead one with its last words, which may still be on their way."""
        life = ""

        def complete() -> bool:
            nonlocal life
            life = last_life(self._read_log(_AUTOPSY_BYTES), latest=latest)
            return record is None or has_end_mark(life) or START_MARK not in life

        _wait_until(complete, _SETTLE_S)
        return life

    def _await_record(self) -> None:
        """A dead pid still in the pid file: start.sh has not written its end down yet."""
        pid = self.pid()
        if pid is not None and not process_alive(pid):
            _wait_until(lambda: self.pid() != pid, _SETTLE_S)

    def _read_log(self, max_bytes: int) -> str:
        data = _read_end(self._log_file, max_bytes)
        if len(data) < max_bytes:  # it may just have started anew
            before = self._log_file.with_name(self._log_file.name + ".1")
            data = _read_end(before, max_bytes - len(data)) + data
        return data.decode("utf-8", "replace")


def exit_record(data: dict[str, Any]) -> ExitRecord:
    """start.sh's JSON as a value; anything missing or odd falls back to its default."""

    def number(name: str) -> int | None:
        value = data.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def seconds(name: str) -> float:
        value = data.get(name)
        return float(value) if isinstance(value, int | float) else 0.0

    return ExitRecord(
        exit_code=number("exit_code"),
        signal=number("signal"),
        at=seconds("at"),
        started_at=seconds("started_at"),
        pid=number("pid"),
        reason=str(data.get("reason") or ""),
        came_up=data.get("came_up") is not False,
        gave_up=data.get("gave_up") is True,
        oom_kills=(number("oom_kill_after") or 0) - (number("oom_kill_before") or 0),
    )


def process_alive(pid: int) -> bool:
    """Whether the process runs. A zombie does not: it only waits for its parent to notice."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return False
    try:  # no /proc on this system
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def _read_end(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            return file.read(max_bytes)
    except OSError:
        return b""


def _wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() >= deadline:
            return False
        pause.wait(0.02)
    return True
