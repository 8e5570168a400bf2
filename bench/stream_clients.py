"""What a thousand open streams cost: job latency without and with them, memory of the worker per client.

Usage: python bench/stream_clients.py [clients]. All of them follow all workflows, and read what they are sent.
"""

import base64
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import requests  # noqa: E402
from support import sample_jobs  # noqa: E402
from support.api_process import ApiProcess  # noqa: E402
from support.standin_process import StandinProcess  # noqa: E402

_JOBS = 30
_SECONDS = 0.5
_ROUNDS = 3


def connect(port: int) -> socket.socket:
    """A stream that follows everything; as little Python as can be, since it shares the CPUs with the worker."""
    stream = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    stream.sendall(
        (
            f"GET /v1/comfyui/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
    )
    answer = stream.recv(4096)
    assert b" 101 " in answer, answer
    message = json.dumps({"type": "subscribe"}).encode()
    mask = bytes(4)
    stream.sendall(bytes([0x81, 0x80 | len(message)]) + mask + message)
    return stream


def read_on(port: int, count: int) -> None:
    """The clients, in a process of their own: pings are answered, the rest is thrown away."""
    selector = selectors.DefaultSelector()
    for _ in range(count):
        selector.register(connect(port), selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            stream: Any = key.fileobj
            data = stream.recv(65536)
            if not data:
                selector.unregister(stream)
            elif 0x89 in data:
                stream.sendall(bytes([0x8A, 0x80]) + bytes(4))


def rss_kb(pid: int) -> int:
    return int(
        next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in line).split()[1]
    )


def latency_s(url: str, color: int) -> float:
    began = time.perf_counter()
    body = {"workflow": sample_jobs.slow(_SECONDS, color=color)}
    workflow_id = requests.post(f"{url}/v1/comfyui/workflow", json=body, timeout=10).json()["workflowId"]
    requests.get(f"{url}/v2/x/status/{workflow_id}?wait=5000", timeout=10)
    while requests.get(f"{url}/v1/comfyui/workflow/{workflow_id}", timeout=10).json()["completionTime"] is None:
        time.sleep(0.002)
    return time.perf_counter() - began


def measured(url: str, start: int) -> list[float]:
    return [latency_s(url, start + number) for number in range(_JOBS)]


def main(count: int) -> None:
    quiet: list[float] = []
    busy: list[float] = []
    with StandinProcess() as standin, ApiProcess({"COMFY_HOST": standin.url, "MANAGEMENT_RATE_LIMIT": "off"}) as api:
        measured(api.url, 0)  # warm
        memory = []
        for number in range(1, _ROUNDS + 1):
            quiet += measured(api.url, number * 1000)
            before = rss_kb(api.pid)
            port = api.url.rsplit(":", 1)[1]
            command = [sys.executable, __file__, "--clients", port, str(count)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as clients:
                assert clients.stdout is not None and clients.stdout.readline() == b"ready\n"
                memory.append((rss_kb(api.pid) - before) / count)
                busy += measured(api.url, number * 1000 + 500)
                clients.kill()
    without, with_them = statistics.median(quiet), statistics.median(busy)
    print(f"{count} streams, jobs of {_SECONDS} s")
    print(f"job latency, median: {without * 1000:.1f} ms without, {with_them * 1000:.1f} ms with them")
    print(f"  {(with_them / without - 1) * 100:+.1f} %")
    print(f"memory per stream: {memory[0]:.0f} kB")


if __name__ == "__main__":
    if "--clients" in sys.argv:
        read_on(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
