"""What waits for one reader of a stream, and when it is given up."""

import asyncio

from api.ids import JobId
from api.jobs.broadcast import Message, Reader

_MOST = 2000


def test_one_that_never_reads_is_given_up_and_gets_nothing_more() -> None:
    async def taken() -> int:
        reader = Reader()
        for number in range(10 * _MOST):
            reader.answer("pong")
            reader.offer(Message(JobId("j"), "end", str(number), is_last=True))
        assert reader.is_overrun
        texts = 0
        while True:
            try:
                await asyncio.wait_for(reader.next(), 0.05)
            except TimeoutError:
                return texts
            texts += 1

    assert asyncio.run(taken()) == _MOST


def test_one_that_reads_is_not() -> None:
    async def read() -> None:
        reader = Reader()
        for _ in range(3 * _MOST):
            reader.answer("pong")
            assert await reader.next() == "pong"
        assert not reader.is_overrun

    asyncio.run(read())
