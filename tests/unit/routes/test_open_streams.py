"""How many streams may be open at a time."""

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from api.errors import RateLimited
from api.routes.open_streams import OpenStreams


class Door:
    """An app that keeps every stream open until it is let go."""

    def __init__(self, **limits: int) -> None:
        self._limit = OpenStreams(self._app, **limits)
        self.scopes: list[Scope] = []

    async def _app(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        self.scopes.append(scope)
        await asyncio.Event().wait()

    async def knock(
        self, path: str = "/events/a", caller: str = "anonymous", host: str = "1.1.1.1", **more: Any
    ) -> Any:
        """The stream, open; raises what refuses it."""
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "client": (host, 1),
            "state": {"caller": caller},
            **more,
        }

        async def nothing(*_: Any) -> Any:
            return None

        stream = asyncio.create_task(self._limit(scope, nothing, nothing))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if stream.done():
            stream.result()
        return stream


async def leave(stream: Any) -> None:
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)


def test_a_caller_has_a_limit_and_gets_room_back() -> None:
    async def play() -> None:
        door = Door(most=9, most_of_one=2)
        first = await door.knock()
        await door.knock("/ws", type="websocket")
        with pytest.raises(RateLimited) as refused:
            await door.knock("/api/comfy/stream/x", caller="link")
        assert refused.value.retry_after_s > 0
        await door.knock(host="2.2.2.2")
        # Behind the same address, but with a key.
        await door.knock(caller="0123456789abcdef")
        await leave(first)
        await door.knock("/v1/comfyui/stream", type="websocket")

    asyncio.run(play())


def test_all_together_have_one() -> None:
    async def play() -> None:
        door = Door(most=3, most_of_one=2)
        streams = [await door.knock(host=f"1.1.1.{number}") for number in range(3)]
        with pytest.raises(RateLimited):
            await door.knock(host="1.1.1.9")
        await leave(streams[0])
        await door.knock(host="1.1.1.9")

    asyncio.run(play())


def test_who_has_not_proven_a_key_yet_takes_no_room_from_those_who_have() -> None:
    async def play() -> None:
        door = Door(most=4, most_of_one=2)
        for number in range(2):
            await door.knock("/ws", type="websocket", caller="unproven", host=f"1.1.1.{number}")
        with pytest.raises(RateLimited):
            await door.knock("/ws", type="websocket", caller="unproven", host="1.1.1.9")
        for number in range(4):
            await door.knock(caller=f"key {number}")

    asyncio.run(play())


def test_other_requests_are_no_streams() -> None:
    async def play() -> None:
        door = Door(most=1, most_of_one=1)
        await door.knock()
        for path, more in (("/eventsmore", {}), ("/jobs", {}), ("/events/a/link", {"method": "POST"})):
            await door.knock(path, **more)

    asyncio.run(play())


def test_what_a_socket_follows_counts_too() -> None:
    async def play() -> None:
        door = Door(most=9, most_of_one=3)
        await door.knock("/ws", type="websocket")
        one_more = door.scopes[0]["state"]["one_more"]
        with ExitStack() as followed:
            for _ in range(2):
                followed.enter_context(one_more())
            with pytest.raises(RateLimited):
                followed.enter_context(one_more())
        with one_more():
            await door.knock()

    asyncio.run(play())
