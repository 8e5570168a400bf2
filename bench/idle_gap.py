"""How long ComfyUI stands idle between jobs: a queue of jobs that each execute for 0.5 s, results to a slow S3.

The real worker process runs under a fake RunPod platform. Busy and idle are told by ComfyUI's own time stamps
(execution_start, execution_success), read off the wire between the two. Exit status 1 when idle for over 3 %.
"""

import argparse
import itertools
import multiprocessing
import sys
import time
from contextlib import ExitStack
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

_LIMIT = 0.03
_EXECUTE_S = 0.5
_PUT_S = 0.3


def main() -> int:
    arguments = _parser().parse_args()
    with ExitStack() as stack:
        standin = stack.enter_context(StandinProcess())
        tap = stack.enter_context(WireTap(standin.url))
        platform = stack.enter_context(RunpodPlatform())
        bucket_url = _start_slow_s3(stack)
        print(f"ComfyUI: the CPU STAND-IN at {standin.url}; S3 PUTs answered after {_PUT_S * 1e3:.0f} ms")
        worker = stack.enter_context(WorkerProcess(_environment(platform, tap, bucket_url, arguments.concurrency)))
        ids = [platform.submit(_job(number)) for number in range(arguments.jobs)]
        for job_id in ids:
            _check(platform.result(job_id, 120), bucket_url)
        spans = _spans(tap, arguments.jobs)
        log = worker.log
    idle = _report(spans, platform, ids)
    if arguments.log:
        print(log)
    return 0 if idle <= _LIMIT else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--concurrency", type=int, help="WORKER_CONCURRENCY; else the worker's default")
    parser.add_argument("--log", action="store_true", help="print the worker's log at the end")
    return parser


def _environment(platform: RunpodPlatform, tap: WireTap, bucket_url: str, concurrency: int | None) -> dict[str, str]:
    return {
        **platform.env(),
        "COMFY_HOST": tap.url,
        "BUCKET_ENDPOINT_URL": bucket_url,
        "BUCKET_NAME": "bench",
        "BUCKET_ACCESS_KEY_ID": "bench",
        "BUCKET_SECRET_ACCESS_KEY": "bench",
        "LOG_LEVEL": "info",
        **({"WORKER_CONCURRENCY": str(concurrency)} if concurrency else {}),
    }


def _job(number: int) -> dict[str, Any]:
    picture = sample_jobs.png((number, 99, 160))
    return sample_jobs.job(sample_jobs.slow(_EXECUTE_S, name="in.png"), images={"in.png": picture})


def _check(result: dict[str, Any], bucket_url: str) -> None:
    kinds = [image["type"] for image in result.get("output", {}).get("images", [])]
    if kinds != ["s3_url"]:
        raise SystemExit(f"A job did not deliver to {bucket_url}: {result}")


def _spans(tap: WireTap, count: int) -> list[tuple[float, float]]:
    """(start, end) of each prompt in seconds, by ComfyUI's clock."""
    ends = {event.prompt_id: event.stamp_ms for event in tap.wait_event("execution_success", count, 10)}
    starts = {event.prompt_id: event.stamp_ms for event in tap.wait_event("execution_start", count, 10)}
    return sorted((starts[prompt_id] / 1e3, ends[prompt_id] / 1e3) for prompt_id in ends)


def _report(spans: list[tuple[float, float]], platform: RunpodPlatform, ids: list[str]) -> float:
    whole = spans[-1][1] - spans[0][0]
    gaps = [max(0.0, later[0] - earlier[1]) for earlier, later in itertools.pairwise(spans)]
    idle = sum(gaps) / whole
    takes = [platform.wait_taken(job_id) for job_id in ids]
    print(f"{len(spans)} jobs in {whole:.2f} s, executing {whole - sum(gaps):.2f} s")
    print(f"idle {idle:.1%} (limit {_LIMIT:.0%}); longest gap {max(gaps) * 1e3:.0f} ms")
    print("taken from the platform at", " ".join(f"{take - takes[0]:.2f}" for take in takes))
    print("gaps in ms", " ".join(f"{gap * 1e3:.0f}" for gap in gaps))
    return idle


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
