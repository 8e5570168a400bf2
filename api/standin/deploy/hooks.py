"""Webhooks as the API sends them: unsigned, three tries, in no certain order."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from ..faults import Faults

_TRIES = 3
_TIMEOUT_S = 20
_FIRST_PAUSE_S = 0.5


def wants_outputs(url: str) -> bool:
    """Whether the address asks for run.output events too."""
    asked = parse_qs(urlsplit(url).query).get("target_events", [""])
    return "run.output" in ",".join(asked).split(",")


class Hooks:
    """Sends each body in a task of its own; `sent` keeps what was sent to whom, and what came back."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.sent: list[dict[str, Any]] = []

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))
        return self._session

    def send(self, url: str, body: Mapping[str, Any]) -> None:
        if self._faults.take("lose_webhooks"):
            return
        task = asyncio.create_task(self._sent(url, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _sent(self, url: str, body: Mapping[str, Any]) -> None:
        await asyncio.sleep(self._faults.number("slow_webhooks") / 1000)
        for number in range(_TRIES):
            status = await self._tried(url, body)
            self.sent.append({"url": url, "body": body, "status": status})
            if status is not None and status < 400:
                return
            pause_s = _FIRST_PAUSE_S * 2**number
            await asyncio.sleep(pause_s * random.uniform(1, 1.1))

    async def _tried(self, url: str, body: Mapping[str, Any]) -> int | None:
        try:
            async with self.session.post(url, json=body) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None
