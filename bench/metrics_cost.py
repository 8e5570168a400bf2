"""What metrics cost: per request in the middleware, per end of a job, and per look of Prometheus. Limit: 1 ms."""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from api.ids import JobId  # noqa: E402
from api.jobs.ends import Run  # noqa: E402
from api.jobs.job import Job, Status  # noqa: E402
from api.metrics import Metrics, State  # noqa: E402
from api.routes.exposition import Timed, Timing  # noqa: E402

_TIMES = 20_000
_LIMIT_S = 0.001
_STAGES = dict.fromkeys(("fetch", "wait", "upload", "execute", "download", "deliver"), 0.1)


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def requests_s(served: Any) -> float:
    async def send(_message: Any) -> None: ...

    scope = {"type": "http", "method": "GET", "path": "/jobs/1"}
    began = time.perf_counter()
    for _ in range(_TIMES):
        await served(scope, None, send)
    return (time.perf_counter() - began) / _TIMES


def each_s(call: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times


def main() -> int:
    metrics = Metrics("1", lambda: State({Status.QUEUED: 1}, False, 1))
    timed = Timed(app, Timing(metrics.note_request, metrics.note_sockets))
    for number in range(200):
        metrics.note_request("GET", f"/route/{number}", 200, 0.1)
    job = Job(JobId("1"), 1.0, Status.SUCCEEDED, started_at=2.0, finished_at=3.0)
    plain_s, timed_s = asyncio.run(requests_s(app)), asyncio.run(requests_s(timed))
    end_s = each_s(lambda: metrics.note_end(job, Run(_STAGES)), _TIMES)
    look_s = each_s(lambda: metrics.exposition(""), 20)
    print(f"per request: {(timed_s - plain_s) * 1e6:.1f} µs")
    print(f"per end of a job: {end_s * 1e6:.1f} µs")
    print(f"per look, with 200 routes: {look_s * 1e3:.1f} ms")
    return 0 if max(timed_s - plain_s, end_s) < _LIMIT_S else 1


if __name__ == "__main__":
    raise SystemExit(main())
