"""News of jobs for many readers at once: each piece is made once, however many there are. Knows no transport.

Readers too slow for it miss progress and pictures, never how a job ended. Everything belongs to one event loop.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import WorkerError
from ..ids import JobId
from ..logs import get_logger
from .view import Frame
from .watching import Frames, Watch

# Between two messages of progress; with many readers more, so that telling them takes a tenth of the time at most.
_PACE_S = 0.1
_PACE_PER_READER_S = 0.001
# Messages that may not be left out and that a reader has not taken.
_BACKLOG = 2000
_STATES = 1000
# Readers that are told in one go, and the pause after it: telling a thousand takes a tenth of a second.
_AT_ONCE = 25
_BREATH_S = 0.0025

log = get_logger()


class Topic(NamedTuple):
    """What is followed: one job, or all of them without an id."""

    job_id: JobId | None
    previews: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """`text` as it goes out. `kind` tells what may take the place of what; `is_spared`: it may be left out."""

    job_id: JobId
    kind: str
    text: str
    is_spared: bool = False
    is_last: bool = False


# Frame by frame, what is to be said of it.
Say = Callable[[Frame], Awaitable[Sequence[Message]]]


class Reader:
    """What one reader has not taken yet."""

    def __init__(self) -> None:
        self.topics: set[Topic] = set()
        self.is_overrun = False
        self._kept: deque[str | Message] = deque()
        self._spared: dict[tuple[JobId, str], Message] = {}
        self._ready = asyncio.Event()

    def offer(self, message: Message) -> None:
        """Queue a message; one that can be spared takes the place of its like."""
        if message.is_spared:
            self._spared[message.job_id, message.kind] = message
        else:
            for key in [key for key in self._spared if key[0] == message.job_id]:
                del self._spared[key]
            self._keep(message)
        self._ready.set()

    def answer(self, text: str) -> None:
        """Queue what is for this reader alone."""
        self._keep(text)
        self._ready.set()

    async def next(self) -> str:
        """The next text."""
        while True:
            if self._kept:
                first = self._kept.popleft()
                return first if isinstance(first, str) else first.text
            if self._spared:
                return self._spared.pop(next(iter(self._spared))).text
            self._ready.clear()
            await self._ready.wait()

    def _keep(self, item: str | Message) -> None:
        self.is_overrun = len(self._kept) >= _BACKLOG
        # One that is given up gets nothing more: it may never read again, nor leave.
        if not self.is_overrun:
            self._kept.append(item)


class Broadcast:
    """`say` makes messages of frames, once for all readers of a topic."""

    def __init__(self, watch: Watch, say: Say) -> None:
        self._watch = watch
        self._say = say
        self._channels: dict[Topic, _Channel] = {}

    async def check(self, topic: Topic) -> None:
        """Raises JobNotFound."""
        if topic.job_id is not None:
            await self._watch.job(topic.job_id)

    def follow(self, reader: Reader, topic: Topic) -> None:
        """From now on the reader gets what there is to tell, the present state first."""
        reader.topics.add(topic)
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._channels[topic] = _Channel(lambda: self._channels.pop(topic, None))
            channel.begin(topic, self._frames(topic), self._say)
        channel.join(reader)

    def leave(self, reader: Reader, topic: Topic) -> None:
        """The reader gets no more of it."""
        reader.topics.discard(topic)
        channel = self._channels.get(topic)
        if channel is not None:
            channel.leave(reader)

    def leave_all(self, reader: Reader) -> None:
        """The reader is gone."""
        for topic in list(reader.topics):
            self.leave(reader, topic)

    def _frames(self, topic: Topic) -> Frames:
        if topic.job_id is None:
            return self._all_frames()
        return self._watch.frames(topic.job_id, previews=topic.previews)

    async def _all_frames(self) -> Frames:
        async with aclosing(self._watch.all_frames()) as news:
            # From the first one on nothing is missed, so what is there now can be asked for.
            yield await anext(news)
            for snapshot in await self._watch.present():
                yield snapshot
            async for frame in news:
                yield frame


class _Channel:
    """The readers of one topic, and the one task that tells them."""

    def __init__(self, closed: Callable[[], object]) -> None:
        self._closed = closed
        self._readers: set[Reader] = set()
        # What somebody who comes now has to know, by job.
        self._states: dict[JobId, dict[str, Message]] = {}
        self._pending: dict[tuple[JobId, str], Message] = {}
        self._told_at = 0.0
        self._telling = asyncio.Lock()
        self._flushing: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._topic = Topic(None)

    def begin(self, topic: Topic, frames: Frames, say: Say) -> None:
        self._topic = topic
        self._task = asyncio.create_task(self._run(frames, say))

    def join(self, reader: Reader) -> None:
        self._readers.add(reader)
        for state in self._states.values():
            for message in state.values():
                reader.offer(message)

    def leave(self, reader: Reader) -> None:
        self._readers.discard(reader)
        if not self._readers and self._task is not None:
            self._closed()
            self._task.cancel()

    async def _run(self, frames: Frames, say: Say) -> None:
        try:
            async with aclosing(frames):
                async for frame in frames:
                    for message in await say(frame) if frame else ():
                        await self._tell(message)
        except WorkerError as error:
            log.info("News of jobs broke off", error=error.message)
        finally:
            if self._flushing is not None:
                self._flushing.cancel()
            if self._readers:
                self._closed()
            for reader in self._readers:
                reader.topics.discard(self._topic)

    async def _tell(self, message: Message) -> None:
        readers = self._remember(message)
        if message.is_spared:
            self._pending[message.job_id, message.kind] = message
            if self._flushing is None:
                self._flushing = asyncio.create_task(self._flush())
            return
        for key in [key for key in self._pending if key[0] == message.job_id]:
            del self._pending[key]
        await self._offer(message, readers)

    async def _flush(self) -> None:
        """Tell what is pending when its time has come."""
        loop = asyncio.get_running_loop()
        pace_s = max(_PACE_S, _PACE_PER_READER_S * len(self._readers))
        await asyncio.sleep(max(0.0, self._told_at + pace_s - loop.time()))
        self._flushing, self._told_at = None, loop.time()
        pending, self._pending = self._pending, {}
        for message in pending.values():
            await self._offer(message, list(self._readers))

    async def _offer(self, message: Message, readers: Sequence[Reader]) -> None:
        async with self._telling:
            for start in range(0, len(readers), _AT_ONCE):
                for reader in readers[start : start + _AT_ONCE]:
                    if reader in self._readers:
                        reader.offer(message)
                if start + _AT_ONCE < len(readers):
                    # Jobs run in threads of this process, and want their share of it.
                    await asyncio.sleep(_BREATH_S)

    def _remember(self, message: Message) -> list[Reader]:
        """Who is there to hear it; whoever comes later gets it as the present state."""
        if message.is_last:
            self._states.pop(message.job_id, None)
            if self._topic.job_id is not None:
                self._states[message.job_id] = {message.kind: message}
        elif message.is_spared:
            self._states.setdefault(message.job_id, {})[message.kind] = message
        else:
            # A new phase: what was said of the one before is over.
            self._states[message.job_id] = {message.kind: message}
        while len(self._states) > _STATES:
            self._states.pop(next(iter(self._states)))
        return list(self._readers)
