"""Runs the stand-in as a real process for tests: `with StandinProcess() as comfyui: requests.get(comfyui.url + ...)`.

The process listens on a free port; its faults are switched at start or over HTTP while it runs.
"""

import os
import signal
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from support.forked import Forked

ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = "api.standin.__main__"
ANNOUNCEMENT = "listening on "


class StandinProcess:
    """One stand-in; keeps its port and its directories across restart()."""

    def __init__(
        self,
        *,
        port: int = 0,
        directory: Path | None = None,
        faults: Mapping[str, Any] | None = None,
        arguments: Sequence[str] = (),
        start_timeout_s: float = 60.0,
    ) -> None:
        self.port = port
        self.initial_faults = dict(faults or {})
        self.arguments = list(arguments)
        self._start_timeout_s = start_timeout_s
        self._own_directory = None if directory else tempfile.TemporaryDirectory(prefix="standin-test-")
        self.directory = Path(directory or self._own_directory.name)  # type: ignore[union-attr]
        self._process: Forked | None = None
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()  # it listens, or it has ended
        self._announced = False
        self._lines: list[str] = []

    # --- life ---

    def start(self, *, wait: bool = True) -> Self:
        """Start it; with wait=False return before the port is open (needs a fixed port)."""
        if self._reader is not None:
            self._reader.join()  # that of one that died: its last word must not be taken for this one's
        self._ready.clear()
        self._announced = False
        self._process = Forked(_PROGRAM, self._command_line())
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if wait:
            self.wait_listening()
        return self

    def wait_listening(self) -> None:
        if not self._ready.wait(self._start_timeout_s) or not self._announced:
            self.stop()
            raise AssertionError(f"the stand-in did not start (exit code {self.exit_code}):\n{self.log}")

    def wait_exit(self, timeout_s: float = 10.0) -> int:
        """Wait until it has ended; the exit code, negative for a signal."""
        process = self._running_process()
        code = process.wait(timeout_s)
        assert self._reader is not None
        self._reader.join(timeout_s)
        return code

    def kill(self) -> int:
        return self._signal(signal.SIGKILL)

    def terminate(self) -> int:
        return self._signal(signal.SIGTERM)

    def restart(self, *, faults: Mapping[str, Any] | None = None) -> Self:
        """End it if it runs, start it again on the same port and directories.

        Without `faults` it starts healthy: the faults of before are gone, as its queue and history are.
        """
        if self.is_running:
            self.kill()
        self.initial_faults = dict(faults or {})
        return self.start()

    def stop(self) -> None:
        if self._process is not None:
            self.kill()
        if self._own_directory:
            self._own_directory.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- what it is ---

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def pid(self) -> int:
        return self._running_process().pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    @property
    def log(self) -> str:
        """Everything it has printed, over all starts."""
        return "".join(self._lines)

    @property
    def input_dir(self) -> Path:
        return self.directory / "input"

    @property
    def output_dir(self) -> Path:
        return self.directory / "output"

    @property
    def temp_dir(self) -> Path:
        return self.directory / "temp"

    # --- faults while it runs ---

    def set_fault(self, name: str, value: Any = True) -> None:
        """Switch a fault on (True, a number, text) or off (None, False)."""
        answer = requests.post(f"{self.url}/standin/faults", json={name: value}, timeout=10)
        assert answer.status_code == 200, answer.text

    def clear_faults(self) -> None:
        requests.delete(f"{self.url}/standin/faults", timeout=10).raise_for_status()

    def faults(self) -> dict[str, Any]:
        """The faults that are on."""
        active: dict[str, Any] = requests.get(f"{self.url}/standin/faults", timeout=10).json()["active"]
        return active

    # --- inside ---

    def _command_line(self) -> list[str]:
        command = ["--port", str(self.port), "--base-directory", str(self.directory), *self.arguments]
        for name, value in self.initial_faults.items():
            command += ["--fault", f"{name}={'on' if value is True else value}"]
        return command

    def _read(self, process: Forked) -> None:
        with process.output as lines:
            for line in lines:
                self._lines.append(line)
                if ANNOUNCEMENT in line:
                    self.port = int(line.rsplit(":", 1)[1])
                    self._announced = True
                    self._ready.set()
        self._ready.set()

    def _running_process(self) -> Forked:
        if self._process is None:
            raise AssertionError("the stand-in was never started")
        return self._process

    def _signal(self, number: signal.Signals) -> int:
        process = self._running_process()
        if process.poll() is None:
            os.kill(process.pid, number)
        return self.wait_exit()
