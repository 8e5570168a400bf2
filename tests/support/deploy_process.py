"""Runs the ComfyUI Deploy stand-in as a real process: `with DeployProcess() as deploy: client_of(deploy)`."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from api.comfydeploy.address import base_url
from api.comfydeploy.client import DeployClient
from api.comfydeploy.transport import Policy, Transport

ROOT = Path(__file__).resolve().parents[2]
KEY = "cd-test-key-0123456789"
QUICK = Policy(attempts=4, timeout_s=10, total_s=10, pause_s=0.01)


class DeployProcess:
    """One stand-in on a free port; it takes KEY only. Faults are switched while it runs."""

    def __init__(self, *arguments: str, run_s: float = 0.05) -> None:
        self._command = [sys.executable, "-m", "api.standin.deploy", "--port", "0", "--key", KEY]
        self._command += ["--run-s", str(run_s), *arguments]
        self.url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert "listening on " in line, line + self._process.stdout.read()
        self.url = line.rpartition(" ")[2].strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        """End it before its time: the API is away."""
        self._process.kill()
        self._process.wait()

    def fault(self, **faults: Any) -> None:
        """Switch faults on, or off with None."""
        requests.post(f"{self.url}/standin/faults", json=faults, timeout=10).raise_for_status()

    def healthy(self) -> None:
        """All faults off."""
        requests.delete(f"{self.url}/standin/faults", timeout=10).raise_for_status()

    def cancel_runs(self) -> None:
        """End all that runs."""
        for run in self.log()["runs"]:
            if run["ended_at"] is None:
                self.api("POST", f"/run/{run['id']}/cancel")

    def log(self) -> dict[str, Any]:
        """The webhooks it sent and all its runs."""
        told: dict[str, Any] = requests.get(f"{self.url}/standin/log", timeout=10).json()
        return told

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request with the key, to a path below /api."""
        headers = {"Authorization": f"Bearer {KEY}"}
        return requests.request(method, f"{self.url}/api{path}", headers=headers, timeout=10, **options)


def client_of(deploy: DeployProcess, key: str | None = KEY, policy: Policy = QUICK, **more: Any) -> DeployClient:
    """Our client at the stand-in, with pauses for tests."""
    return DeployClient(Transport(base_url(deploy.url), key, policy, **more))
