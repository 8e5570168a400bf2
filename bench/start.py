"""How long the HTTP API mode takes from the start of its process to its first answer. Exit status 1 above a second."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]

from support.ports import free_port  # noqa: E402

_LIMIT_S = 1.0
_GIVE_UP_S = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=9)
    starts = parser.parse_args().starts
    # The first one compiles what has not been compiled.
    seconds = [_first_answer_s() for _ in range(starts + 1)][1:]
    median = statistics.median(seconds)
    print(f"{starts} starts: {min(seconds):.2f} to {max(seconds):.2f} s, median {median:.2f} s (limit {_LIMIT_S:.2f})")
    return 0 if median < _LIMIT_S else 1


def _first_answer_s() -> float:
    with tempfile.TemporaryDirectory(prefix="bench-start-") as folder:
        port = free_port()
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "HTTP_API_MODE": "true",
            "API_HOST": "127.0.0.1",
            "API_PORT": str(port),
            "SQLITE_DB_PATH": f"{folder}/jobs.db",
            "COMFY_HOST": "127.0.0.1:9",
            "LOG_LEVEL": "error",
        }
        began = time.perf_counter()
        worker = subprocess.Popen([sys.executable, str(_ROOT / "handler.py")], cwd=_ROOT, env=environment)
        try:
            while not _answers(port):
                if worker.poll() is not None or time.perf_counter() - began > _GIVE_UP_S:
                    raise SystemExit("The worker did not start.")
                time.sleep(0.005)
            return time.perf_counter() - began
        finally:
            worker.kill()
            worker.wait()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


if __name__ == "__main__":
    raise SystemExit(main())
