"""Runs `python handler.py` as a real process for tests, in an environment that holds nothing but what is given."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "COVERAGE_PROCESS_START")


class WorkerProcess:
    """`with WorkerProcess({"COMFY_HOST": …, **platform.env()}) as worker:`; killed with all its children at the end."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        arguments: Sequence[str] = (),
        command: Sequence[str] = (str(ROOT / "handler.py"),),
        cwd: Path | None = None,
    ) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="worker-test-")
        self.work_dir = Path(self._scratch.name) / "work"
        run_dir = Path(self._scratch.name) / "run"
        run_dir.mkdir()
        self._environment = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "WORK_DIR": str(self.work_dir),
            "COMFY_RUN_DIR": str(run_dir),
            "COMFY_ROOT": str(Path(self._scratch.name) / "no-comfyui-here"),
            "LOG_FORMAT": "json",
            **environment,
        }
        self._command = [sys.executable, "-u", *command, *arguments]
        self._cwd = cwd or ROOT
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        self._streams: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._written = threading.Condition()

    def start(self) -> Self:
        # A session of its own: the SDK's ping child survives its parent and must go too.
        self._process = subprocess.Popen(
            self._command,
            cwd=self._cwd,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for name in self._streams:
            thread = threading.Thread(target=self._read, args=(name,), name=f"worker-{name}")
            thread.start()
            self._readers.append(thread)
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._scratch.cleanup()

    @property
    def log(self) -> str:
        """Standard output, then standard error."""
        with self._written:
            return "".join(self._streams["stdout"] + self._streams["stderr"])

    @property
    def stdout(self) -> str:
        with self._written:
            return "".join(self._streams["stdout"])

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def is_running(self) -> bool:
        return self._running().poll() is None

    def terminate(self) -> None:
        """What RunPod and Docker do first."""
        self._running().send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float = 30.0) -> int:
        """The exit status; fails with the log when it does not end in time."""
        try:
            code = self._running().wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker still runs after {timeout_s:g} s:\n{self.log}") from None
        self._end_group()
        for reader in self._readers:
            reader.join(10)
        return code

    def wait_for_log(self, text: str, timeout_s: float = 30.0) -> None:
        """Until `text` stands in the log, or the process has ended."""
        deadline = time.monotonic() + timeout_s
        with self._written:
            while not any(text in line for lines in self._streams.values() for line in lines):
                left = deadline - time.monotonic()
                if left <= 0 or not self.is_running:
                    raise AssertionError(f"{text!r} did not come into the log:\n{self.log}")
                self._written.wait(min(left, 0.2))

    def kill(self) -> None:
        """SIGKILL to the process and its children."""
        if self._process is None:
            return
        self._end_group()
        self._process.wait(10)
        for reader in self._readers:
            reader.join(10)

    def _end_group(self) -> None:
        try:
            os.killpg(self._running().pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _read(self, name: str) -> None:
        stream = getattr(self._running(), name)
        with stream:
            for line in stream:
                with self._written:
                    self._streams[name].append(line)
                    self._written.notify_all()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise AssertionError("the worker was never started")
        return self._process
