"""The image's health check, against a real HTTP server and real pids."""

import http.server
import os
import subprocess
import threading
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "healthcheck.sh"
pytestmark = pytest.mark.e2e


def healthy(**environment: str) -> bool:
    environment = {"PATH": os.environ["PATH"], **environment}
    done = subprocess.run([str(SCRIPT)], env=environment, capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize(("status", "expected"), [(200, True), (503, False)])
def test_in_http_mode_the_api_answers_for_itself(status: int, expected: bool) -> None:
    class Api(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        assert healthy(HTTP_API_MODE="true", API_PORT=str(server.server_address[1])) is expected
        server.shutdown()
        thread.join()


def test_in_http_mode_nobody_there_is_unhealthy() -> None:
    assert not healthy(HTTP_API_MODE="true", API_PORT="9")


def test_in_serverless_mode_the_worker_must_live(tmp_path: Path) -> None:
    assert not healthy(COMFY_RUN_DIR=str(tmp_path))
    (tmp_path / "worker.pid").write_text(str(os.getpid()))
    assert healthy(COMFY_RUN_DIR=str(tmp_path))
    (tmp_path / "worker.pid").write_text("999999999")
    assert not healthy(COMFY_RUN_DIR=str(tmp_path))
