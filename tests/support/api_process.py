"""Runs the worker in HTTP API mode as a real process, on a free port: `with ApiProcess({"COMFY_HOST": …}) as api:`."""

import json
from collections.abc import Mapping
from typing import Any, Self

import requests
from support.waiting import wait_for
from support.worker_process import WorkerProcess

_LISTENING = '"event": "Listening"'


class ApiProcess(WorkerProcess):
    """Its database lies in a folder of its own, unless SQLITE_DB_PATH says otherwise."""

    def __init__(self, environment: Mapping[str, str], **options: Any) -> None:
        given = {"HTTP_API_MODE": "true", "API_HOST": "127.0.0.1", "API_PORT": "0", **environment}
        super().__init__(given, **options)
        self._environment.setdefault("SQLITE_DB_PATH", str(self.work_dir.parent / "jobs.db"))
        self.url = ""

    def start(self) -> Self:
        super().start()
        self.wait_for_log(_LISTENING)
        self.url = next(json.loads(line)["url"] for line in self.log.splitlines() if _LISTENING in line)
        return self

    @property
    def database_path(self) -> str:
        return self._environment["SQLITE_DB_PATH"]

    def status(self, job_id: str) -> dict[str, Any]:
        body: dict[str, Any] = requests.get(f"{self.url}/status/{job_id}", timeout=10).json()
        return body

    def ended(self, job_id: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """What /status tells of the job once it has ended."""
        return wait_for(
            lambda: (found := self.status(job_id))["completed_at"] and found, f"the end of {job_id}", timeout_s
        )
