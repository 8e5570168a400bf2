"""Runs start.sh for real in a folder of its own, with stand-ins for what it starts."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from support.ports import free_port
from support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = Path(__file__).resolve().parent


class StartScript:
    """One run of start.sh with fake_handler.py and, unless COMFY_STANDIN=true is given, fake_comfyui.py."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.port = free_port()
        self.marker = uuid.uuid4().hex
        self.worker_root = folder / "worker"
        self.comfy_root = folder / "comfyui"
        self.run_dir = folder / "run"
        self.arguments: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        for directory in (self.worker_root, self.comfy_root, self.run_dir):
            directory.mkdir()
        shutil.copy(SUPPORT / "fake_handler.py", self.worker_root / "handler.py")
        shutil.copy(SUPPORT / "fake_comfyui.py", self.comfy_root / "main.py")
        (self.worker_root / "api").symlink_to(ROOT / "api")
        (self.worker_root / "docker").symlink_to(ROOT / "docker")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "START_TEST": self.marker,
            "WORKER_ROOT": str(self.worker_root),
            "WORKER_PYTHON": sys.executable,
            "COMFY_ROOT": str(self.comfy_root),
            "COMFY_PYTHON": sys.executable,
            "COMFY_RUN_DIR": str(self.run_dir),
            "COMFY_PORT": str(self.port),
            "COMFY_BACKOFF_MAX_S": "0",
            "SKIP_GPU_CHECK": "true",
            **environment,
        }

    def __enter__(self) -> Self:
        with (self.run_dir.parent / "stdout").open("wb") as stdout:
            self.process = subprocess.Popen(
                [str(ROOT / "start.sh"), *self.arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        wait_for(lambda: not self._kill_everything(), "everything to be killed")
        assert self.process is not None
        self.process.wait()
        if kind is not None:
            print(self.output)

    def _kill_everything(self) -> list[int]:
        pids = self.processes()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pids

    @property
    def output(self) -> str:
        return (self.run_dir.parent / "stdout").read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def status(self, timeout_s: float = 60.0) -> int:
        """Exit status, once it has ended."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def handler(self) -> dict[str, Any]:
        """What the fake handler noted about its start, once it has started."""
        file = self.run_dir / "handler.json"
        wait_for(file.exists, "the handler")
        return dict(json.loads(file.read_text()))

    def comfyui_pid(self) -> int | None:
        try:
            return int((self.run_dir / "comfyui.pid").read_text())
        except (OSError, ValueError):
            return None

    def exit_file(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.run_dir / "comfyui.exit").read_text()))
        except OSError:
            return {}

    def object_info(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/object_info/EmptyImage", timeout=5).ok
        except requests.RequestException:
            return False

    def processes(self) -> list[int]:
        """Pids of everything start.sh has started and that still runs, itself included."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if f"START_TEST={self.marker}".encode() in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found
