"""How long ComfyUI stands idle between jobs whose results go to an S3 that answers after 300 ms.

Busy and idle are told by ComfyUI's own time stamps (execution_start, execution_success), read off the wire. Three
rows, each with a limit of 3 %: the handler with two jobs at a time, 0.5 s each; and under the real SDK and a fake
RunPod platform with the worker's default, jobs of 0.5 s, for which it takes more at a time, and jobs of 3 s. The second
row has many jobs, because taking more costs about a second once: the SDK waits until no job is in hand.
"""

import argparse
import itertools
import multiprocessing
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]

from support import sample_jobs  # noqa: E402
from support.runpod_platform import RunpodPlatform  # noqa: E402
from support.standin_process import StandinProcess  # noqa: E402
from support.wire_tap import WireTap  # noqa: E402
from support.worker_process import WorkerProcess  # noqa: E402

from api import logs, wiring  # noqa: E402
from api.settings import Settings  # noqa: E402

_LIMIT = 0.03
_PUT_S = 0.3


@dataclass(frozen=True)
class Row:
    """`platform`: under the SDK, else straight through the handler. `concurrency` None is the worker's default."""

    platform: bool
    execute_s: float
    jobs: int
    concurrency: int | None


ROWS = (Row(False, 0.5, 20, 2), Row(True, 0.5, 120, None), Row(True, 3.0, 7, None))


def main() -> int:
    arguments = _parser().parse_args()
    rows = ROWS if arguments.jobs is None else (Row(True, arguments.execute, arguments.jobs, arguments.concurrency),)
    print(f"ComfyUI: the CPU STAND-IN; S3 PUTs answered after {_PUT_S * 1e3:.0f} ms; limit {_LIMIT:.0%}")
    return max([_measure(row) for row in rows])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, help="one row of your own under the SDK: so many jobs")
    parser.add_argument("--execute", type=float, default=0.5, help="seconds each executes")
    parser.add_argument("--concurrency", type=int, help="WORKER_CONCURRENCY; else the worker's default")
    return parser


def _measure(row: Row) -> int:
    with ExitStack() as stack:
        standin = stack.enter_context(StandinProcess())
        tap = stack.enter_context(WireTap(standin.url))
        run = _run_on_platform if row.platform else _run_in_handler
        run(row, stack, _environment(tap, _start_slow_s3(stack)))
        idle = _idle(_spans(tap, row.jobs))
    way = "under the SDK" if row.platform else "through the handler"
    at_a_time = f"{row.concurrency} at a time" if row.concurrency else "default at a time"
    verdict = "ok" if idle <= _LIMIT else "OVER"
    print(f"{row.jobs:3} jobs of {row.execute_s:g} s, {way}, {at_a_time}: idle {idle:.1%}  {verdict}", flush=True)
    return int(idle > _LIMIT)


def _run_on_platform(row: Row, stack: ExitStack, environment: dict[str, str]) -> None:
    platform = stack.enter_context(RunpodPlatform())
    concurrency = {"WORKER_CONCURRENCY": str(row.concurrency)} if row.concurrency else {}
    stack.enter_context(WorkerProcess({**platform.env(), **environment, **concurrency}))
    ids = [platform.submit(_job(number, row.execute_s)) for number in range(row.jobs)]
    for job_id in ids:
        _check(platform.result(job_id, 240).get("output", {}))


def _run_in_handler(row: Row, stack: ExitStack, environment: dict[str, str]) -> None:
    settings = Settings(**{name.lower(): value for name, value in environment.items()})  # type: ignore[arg-type]
    services = stack.enter_context(closing(wiring.build(settings)))
    logs.configure("warning", "console")
    wiring.get_ready(services)
    with ThreadPoolExecutor(row.concurrency) as pool:
        for result in pool.map(services.handler, [_job(number, row.execute_s) for number in range(row.jobs)]):
            _check(result)


def _environment(tap: WireTap, bucket_url: str) -> dict[str, str]:
    return {
        "COMFY_HOST": tap.url,
        "BUCKET_ENDPOINT_URL": bucket_url,
        "BUCKET_NAME": "bench",
        "BUCKET_ACCESS_KEY_ID": "bench",
        "BUCKET_SECRET_ACCESS_KEY": "bench",
        "LOG_LEVEL": "warning",
    }


def _job(number: int, execute_s: float) -> dict[str, Any]:
    picture = sample_jobs.png((number, 99, 160))
    return sample_jobs.job(sample_jobs.slow(execute_s, name="in.png"), images={"in.png": picture})


def _check(result: dict[str, Any]) -> None:
    if [image["type"] for image in result.get("images", [])] != ["s3_url"]:
        raise SystemExit(f"A job did not deliver to S3: {result}")


def _spans(tap: WireTap, count: int) -> list[tuple[float, float]]:
    """(start, end) of each prompt in seconds, by ComfyUI's clock."""
    ends = {event.prompt_id: event.stamp_ms for event in tap.wait_event("execution_success", count, 10)}
    starts = {event.prompt_id: event.stamp_ms for event in tap.wait_event("execution_start", count, 10)}
    return sorted((starts[prompt_id] / 1e3, ends[prompt_id] / 1e3) for prompt_id in ends)


def _idle(spans: list[tuple[float, float]]) -> float:
    gaps = [max(0.0, later[0] - earlier[1]) for earlier, later in itertools.pairwise(spans)]
    return sum(gaps) / (spans[-1][1] - spans[0][0])


# --- an S3 that takes its time, in a process of its own ---


def _start_slow_s3(stack: ExitStack) -> str:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve_slow_s3, args=(theirs,), daemon=True)
    process.start()
    stack.callback(process.join)
    stack.callback(process.terminate)
    return f"http://127.0.0.1:{ours.recv()}"


def _serve_slow_s3(parent: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _SlowS3)
    parent.send(server.server_port)
    server.serve_forever()


class _SlowS3(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(_PUT_S)
        self.send_response(200)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


if __name__ == "__main__":
    raise SystemExit(main())
