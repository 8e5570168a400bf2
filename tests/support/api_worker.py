"""Runs `HTTP_API_MODE=true python handler.py` for tests: a real process on a port and a database of its own.

The port and the database stay the same when it is killed and started again.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from support.ports import free_port
from support.waiting import wait_for
from support.worker_process import WorkerProcess

TERMINAL = {"completed", "failed"}


class ApiWorker:
    """`folder` holds the database and the jobs' files; `environment` is added to what is needed anyway."""

    def __init__(self, folder: Path, comfy_url: str, environment: Mapping[str, str] | None = None) -> None:
        self.database = folder / "jobs.db"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.session = requests.Session()
        self._environment = {
            "HTTP_API_MODE": "true",
            "API_HOST": "127.0.0.1",
            "API_PORT": str(self.port),
            "SQLITE_DB_PATH": str(self.database),
            "COMFY_HOST": comfy_url,
            "WEBSOCKET_RECONNECT_DELAY_S": "0.2",
            **(environment or {}),
        }
        self.process = WorkerProcess(self._environment)

    def start(self) -> Self:
        """Start it, again if need be; it answers when this returns."""
        self.process.__exit__(None, None, None)
        self.process = WorkerProcess(self._environment).start()
        try:
            wait_for(self._answers, "the API", timeout_s=30)
        except BaseException:
            self.process.__exit__(None, None, None)
            raise
        return self

    def know(self, name: str, value: str) -> None:
        """Set a variable for the next start."""
        self._environment[name] = value

    def kill(self) -> None:
        self.process.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.__exit__(kind, error, trace)
        self.session.close()

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=30, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.session.post(self.url + path, timeout=30, **options)

    def submit(self, job: Mapping[str, Any], **headers: str) -> str:
        """Submit `{"input": {…}}` in the worker's own words; its id."""
        answer = self.post("/run", json=job["input"], headers=headers)
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["job_id"]
        return job_id

    def status(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/status/{job_id}").json()
        return found

    def ended(self, job_id: str, timeout_s: float = 30) -> dict[str, Any]:
        return wait_for(
            lambda: (found := self.status(job_id))["status"] in TERMINAL and found, f"the end of {job_id}", timeout_s
        )

    def _answers(self) -> bool:
        assert self.process.is_running, f"the worker has ended:\n{self.process.log}"
        try:
            return requests.get(f"{self.url}/livez", timeout=1).ok
        except (requests.ConnectionError, requests.Timeout):
            return False
