"""What the HTTP API takes: durable submits and status reads per second with 64 clients, and the cost of /runsync.

The peer is the local API of RunPod's SDK, which keeps its jobs in memory. Exit status 1 when a limit is missed.
"""

import argparse
import asyncio
import contextlib
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]

import aiohttp  # noqa: E402
import overhead  # noqa: E402
import requests  # noqa: E402
from support import sample_jobs  # noqa: E402
from support.api_worker import ApiWorker  # noqa: E402
from support.standin_process import StandinProcess  # noqa: E402
from support.waiting import wait_for  # noqa: E402
from support.worker_process import WorkerProcess  # noqa: E402

_CLIENTS = 64
_RUNSYNC = (overhead.Case(64, 150, 1.25), overhead.Case(1024, 80, 1.05))
_NOBODY = "http://127.0.0.1:9"

Ask = Callable[[aiohttp.ClientSession], Awaitable[None]]


@dataclass(frozen=True)
class Rate:
    """Requests per second, and the times of single ones in ms."""

    per_s: float
    p50_ms: float
    p99_ms: float

    def __str__(self) -> str:
        return f"{self.per_s:>9.0f}/s   p50 {self.p50_ms:>6.1f} ms   p99 {self.p99_ms:>6.1f} ms"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="time of each measurement of a rate")
    parser.add_argument(
        "--url", default=os.environ.get("COMFYUI_TEST_URL"), help="ComfyUI for /runsync; else a stand-in"
    )
    parser.add_argument("--pairs", type=int, help="pairs per case of /runsync, for a quick look")
    arguments = parser.parse_args()
    is_faster = asyncio.run(_rates(arguments.seconds))
    return 0 if _runsync(arguments.url, arguments.pairs) and is_faster else 1


async def _rates(seconds: float) -> bool:
    body = {"input": {"workflow": sample_jobs.flat()}}
    with _worker({"MAX_QUEUE_SIZE": "10000000", "COMFY_HOST": _NOBODY}) as worker:
        submits = await _rate(seconds, lambda session: _post(session, f"{worker.url}/v2/x/run", body))
        print(f"durable submits, {_CLIENTS} clients   {submits}")
        job_id = worker.submit(body)
        reads = await _rate(seconds, lambda session: _get(session, f"{worker.url}/status/{job_id}"))
        print(f"status reads, {_CLIENTS} clients      {reads}")
    with _sdk_api() as url:
        peer = await _rate(seconds, lambda session: _post(session, f"{url}/run", body))
        print(f"RunPod's local API, in memory  {peer}")
    return submits.per_s >= peer.per_s


async def _rate(seconds: float, ask: Ask) -> Rate:
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def client(session: aiohttp.ClientSession) -> None:
        while (started := time.perf_counter()) < until:
            await ask(session)
            times.append(time.perf_counter() - started)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CLIENTS)) as session:
        await asyncio.gather(*(client(session) for _ in range(_CLIENTS)))
    cuts = statistics.quantiles(times, n=100)
    return Rate(len(times) / seconds, cuts[49] * 1000, cuts[98] * 1000)


async def _post(session: aiohttp.ClientSession, url: str, body: Any) -> None:
    async with session.post(url, json=body) as answer:
        await answer.read()
        if answer.status not in {200, 202}:
            raise SystemExit(f"POST {url}: {answer.status} {await answer.text()}")


async def _get(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url) as answer:
        await answer.read()
        if not answer.ok:
            raise SystemExit(f"GET {url}: {answer.status}")


def _runsync(url: str | None, pairs: int | None) -> bool:
    with contextlib.ExitStack() as stack:
        comfyui = url or stack.enter_context(StandinProcess()).url
        print(f"\n/runsync against the least client, ComfyUI at {comfyui}{'' if url else ' (the CPU STAND-IN)'}")
        worker = stack.enter_context(_worker({"COMFY_HOST": comfyui}))
        least = stack.enter_context(contextlib.closing(overhead.LeastClient(comfyui)))
        wait_for(lambda: worker.get("/readyz").ok, "ComfyUI")

        def call(job: Any) -> dict[str, Any]:
            output: dict[str, Any] = worker.post("/v2/x/runsync", json=job).json()["output"]
            return output

        verdicts = [overhead.run_case(case, least, call, pairs) for case in _RUNSYNC]
        return all(verdicts)


@contextlib.contextmanager
def _worker(environment: dict[str, str]) -> Iterator[ApiWorker]:
    # Beside the project, not in /tmp: that may be memory, where a sync costs nothing.
    with (
        tempfile.TemporaryDirectory(prefix=".bench-", dir=_ROOT) as folder,
        ApiWorker(Path(folder), environment.pop("COMFY_HOST"), {"LOG_LEVEL": "warning", **environment}) as worker,
    ):
        yield worker


@contextlib.contextmanager
def _sdk_api() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    arguments = ["--rp_serve_api", "--rp_api_host", "127.0.0.1", "--rp_api_port", str(port)]
    with WorkerProcess({"COMFY_HOST": _NOBODY, "LOG_LEVEL": "error"}, arguments=arguments):
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: _answers(url), "the SDK's API", timeout_s=30)
        yield url


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/docs", timeout=1).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


if __name__ == "__main__":
    raise SystemExit(main())
