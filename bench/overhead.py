"""What the handler costs: time per job through JobHandler against the least any client can do on the same ComfyUI.

Both sides take turns in one run, job by job, so that whatever slows the machine slows both. Exit status 1 when the
median of the pairs' ratios is over its limit.
"""

import argparse
import base64
import contextlib
import http.client
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]

import requests  # noqa: E402
import websocket  # noqa: E402
from support import sample_jobs  # noqa: E402
from support.standin_process import StandinProcess  # noqa: E402

from api import logs, wiring  # noqa: E402
from api.settings import Settings  # noqa: E402

_WARM_UP_PAIRS = 5
# What the handler still does after it has answered (history entry deleted) shall not burden the other side.
_SETTLE_S = 0.01


@dataclass(frozen=True)
class Case:
    """One picture size, how often it is made by each side, and the ratio that is still all right."""

    size: int
    pairs: int
    limit: float


CASES = (Case(64, 200, 1.15), Case(1024, 120, 1.03))


class LeastClient:
    """Kept-open socket and session; submit, wait, history, view, base64. No checks, no clean-up, no retries."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client_id = uuid.uuid4().hex
        self._session = requests.Session()
        self._socket = websocket.create_connection(
            f"{url.replace('http', 'ws', 1)}/ws?clientId={self._client_id}", timeout=120
        )

    def run(self, workflow: sample_jobs.Workflow) -> list[str]:
        prompt_id = str(uuid.uuid4())
        body = {"prompt": workflow, "client_id": self._client_id, "prompt_id": prompt_id}
        self.ask("POST", "/prompt", json.dumps(body).encode())
        self._await_end(prompt_id)
        entry = json.loads(self.ask("GET", f"/history/{prompt_id}"))[prompt_id]
        files = itertools.chain.from_iterable(output["images"] for output in entry["outputs"].values())
        return [base64.b64encode(self.ask("GET", f"/view?{urlencode(file)}")).decode() for file in files]

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        answer = self._session.request(method, self._url + path, data=body, timeout=120)
        answer.raise_for_status()
        return answer.content

    def close(self) -> None:
        self._socket.close()
        self._session.close()

    def _await_end(self, prompt_id: str) -> None:
        while True:
            frame = self._socket.recv()
            if not isinstance(frame, str):
                continue
            message = json.loads(frame)
            if message["type"] != "executing" or message["data"]["node"] is not None:
                continue
            if message["data"].get("prompt_id") == prompt_id:
                return


class BareClient(LeastClient):
    """The same over http.client, which does without most of what requests does for each request."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
        self._connection.connect()

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        self._connection.request(method, path, body)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise SystemExit(f"{method} {path}: {answer.status}")
        return content

    def close(self) -> None:
        super().close()
        self._connection.close()


def main() -> int:
    arguments = _parser().parse_args()
    logs.configure("error", "json")
    with contextlib.ExitStack() as stack:
        url = arguments.url or os.environ.get("COMFYUI_TEST_URL") or stack.enter_context(_standin())
        work_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="overhead-"))
        settings = Settings(comfy_host=url, work_dir=Path(work_dir))
        services = stack.enter_context(contextlib.closing(wiring.build(settings)))
        least = stack.enter_context(contextlib.closing((BareClient if arguments.bare else LeastClient)(url)))
        print(f"ComfyUI at {url}\n\n  picture   pairs   least ms   handler ms   of medians   median ratio   limit")
        verdicts = [run_case(case, least, services.handler, arguments.pairs) for case in CASES]
    return 0 if all(verdicts) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--url", help="ComfyUI to measure on; else COMFYUI_TEST_URL, else a stand-in")
    parser.add_argument("--pairs", type=int, help="pairs per case instead of 200 and 120, for a quick look")
    parser.add_argument("--bare", action="store_true", help="compare with a client on http.client, not on requests")
    return parser


@contextlib.contextmanager
def _standin() -> Iterator[str]:
    print("No ComfyUI given (--url, COMFYUI_TEST_URL): measuring on the CPU STAND-IN.")
    with StandinProcess() as standin:
        yield standin.url


def run_case(case: Case, least: LeastClient, handler: Callable[..., dict[str, Any]], pairs: int | None) -> bool:
    colors = random.sample(range(1 << 24), 2 * ((pairs or case.pairs) + _WARM_UP_PAIRS))
    timed = [_pair(case.size, *two, least, handler) for two in zip(colors[::2], colors[1::2], strict=True)]
    least_s, handler_s = zip(*timed[_WARM_UP_PAIRS:], strict=True)
    medians = statistics.median(handler_s) / statistics.median(least_s)
    paired = statistics.median(ours / theirs for theirs, ours in zip(least_s, handler_s, strict=True))
    print(
        f"{case.size:>5}×{case.size:<5}{len(least_s):>5}{statistics.median(least_s) * 1e3:>11.2f}"
        f"{statistics.median(handler_s) * 1e3:>13.2f}{medians:>13.3f}{paired:>15.3f}{case.limit:>8.2f}"
        f"   {'ok' if paired <= case.limit else 'TOO SLOW'}"
    )
    return paired <= case.limit


def _pair(
    size: int, first: int, second: int, least: LeastClient, handler: Callable[..., dict[str, Any]]
) -> tuple[float, float]:
    """Seconds of one job on each side; colors differ, so nothing comes from ComfyUI's cache."""
    workflow = sample_jobs.flat(first, size)
    workflow["2"]["inputs"]["filename_prefix"] = f"least-{uuid.uuid4().hex}/flat"
    started = time.perf_counter()
    pictures = least.run(workflow)
    between = time.perf_counter()
    time.sleep(_SETTLE_S)
    resumed = time.perf_counter()
    result = handler(sample_jobs.job(sample_jobs.flat(second, size)))
    ended = time.perf_counter()
    time.sleep(_SETTLE_S)
    if len(pictures) != 1 or [image["type"] for image in result.get("images", [])] != ["base64"]:
        raise SystemExit(f"A side did not deliver its picture: {result}")
    return between - started, ended - resumed


if __name__ == "__main__":
    raise SystemExit(main())
