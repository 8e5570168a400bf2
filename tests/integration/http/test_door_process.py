"""The server as a process: starting, its log, stopping in order, and an address that is taken."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import requests
from support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]


class DoorProcess:
    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self._log = (folder / "log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.door_process", str(port), str(folder)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdout is not None
        self.stdout = self._process.stdout
        self.url = ""

    def __enter__(self) -> Self:
        line = self.stdout.readline()
        assert line.startswith("ready "), self.log
        self.url = line.split()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        self.stdout.close()
        self._log.close()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        return self._process.wait(20)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.log.splitlines()) if line["event"] == event]

    def requests(self, count: int) -> list[dict[str, Any]]:
        """The lines of the first requests; each is written just after its answer."""
        return wait_for(lambda: found if len(found := self.lines("Request")) >= count else [], "the log's lines")


@pytest.fixture
def door(tmp_path: Path) -> Iterator[DoorProcess]:
    with DoorProcess(tmp_path) as process:
        yield process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_while_questions_are_answered(door: DoorProcess, number: signal.Signals) -> None:
    assert requests.get(f"{door.url}/readyz", timeout=5).status_code == 200
    door.signal(number)
    wait_for((door.folder / "draining").exists, "the drain to begin")
    ready = requests.get(f"{door.url}/readyz?verbose", timeout=5)
    assert (ready.status_code, ready.json()["checks"]) == (503, {"serving": "draining"})
    assert requests.get(f"{door.url}/jobs/1", timeout=5).status_code == 200
    (door.folder / "drained").touch()
    assert door.wait() == 0
    assert door.stdout.read() == "stopped\n"


def test_a_second_signal_ends_it_at_once(door: DoorProcess) -> None:
    door.signal(signal.SIGTERM)
    wait_for((door.folder / "draining").exists, "the drain to begin")
    door.signal(signal.SIGTERM)
    assert door.wait() == 128 + signal.SIGTERM
    assert door.stdout.read() == ""


def test_an_endless_answer_does_not_keep_it(door: DoorProcess) -> None:
    (door.folder / "drained").touch()
    with requests.get(f"{door.url}/stream", stream=True, timeout=5) as answer:
        next(answer.iter_content(1000))
        door.signal(signal.SIGTERM)
        assert door.wait() == 0


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = DoorProcess(tmp_path, port)
        assert process.wait() == 1
        process.__exit__(None, None, None)
    assert process.log.splitlines() == [
        f"Cannot listen on 127.0.0.1:{port} (Address already in use): "
        "set API_PORT or API_HOST to a free address of this machine."
    ]


def test_the_log_has_a_line_per_request_and_no_secrets(door: DoorProcess) -> None:
    headers = {
        "X-API-Key": "sk-hidden",
        "X-Request-ID": "mine-1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    requests.get(f"{door.url}/jobs/7?token=hush&q=hidden", headers=headers, timeout=5)
    requests.get(f"{door.url}/livez", timeout=5)
    first, second = door.requests(2)
    assert {name: first[name] for name in ("level", "method", "path", "status", "request_id", "caller")} == {
        "level": "info",
        "method": "GET",
        "path": "/jobs/{job_id}",
        "status": 200,
        "request_id": "mine-1",
        "caller": "anonymous",
    }
    assert first["traceparent"] == headers["traceparent"]
    assert first["bytes"] > 0
    assert first["ms"] > 0
    assert (second["path"], second["level"]) == ("/livez", "debug")
    assert "traceparent" not in second
    assert "hush" not in door.log
    assert "hidden" not in door.log


def test_an_unforeseen_error_is_logged_once_with_its_request(door: DoorProcess) -> None:
    answer = requests.get(f"{door.url}/fail/odd", timeout=5, headers={"X-API-Key": "sk-hidden"})
    assert answer.status_code == 500
    door.requests(1)
    (line,) = door.lines("Unhandled error of a request")
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert "RuntimeError: /home/secret/place" in line["exception"]
    assert door.log.count("Traceback") == 1
    assert "sk-hidden" not in door.log
