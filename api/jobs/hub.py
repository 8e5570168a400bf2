"""Spreads updates from the threads that run jobs to whoever listens. A slow listener never slows a job."""

import asyncio
import itertools
import math
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from ..ids import JobId
from .job import Job
from .updates import Kind, Update

# Updates of one job that a reader who comes back can still get.
_REMEMBERED = 100
# Jobs whose updates are remembered, the least recently heard of first to go.
_REMEMBERED_JOBS = 2000
# Updates that wait for one reader; beyond it the oldest that can be spared goes.
_BACKLOG = 256
_SPARED = frozenset({Kind.PROGRESS, Kind.PREVIEW})


class Subscription(AbstractContextManager["Subscription"]):
    """One reader's queue of updates, in their order. Belongs to the loop it was made in.

    `history`: what is remembered of the job from before what comes. `resumed`: nothing is missing between the reader's
    `after` and what comes; else it has to look at the job first.
    """

    def __init__(
        self,
        leave: Callable[["Subscription"], None],
        history: Sequence[Update] = (),
        after: int | None = None,
        *,
        previews: bool = False,
        only: Kind | None = None,
    ) -> None:
        self.resumed = after is not None and bool(history) and history[0].seq <= after
        known = after if self.resumed and after is not None else math.inf
        self.history = tuple(update for update in history if update.seq <= known)
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._lock = threading.Lock()
        self.previews = previews
        self._only = only
        self._leave = leave
        self._waiting = deque(update for update in history if update.seq > known)

    def offer(self, update: Update) -> None:
        """Queue an update, from any thread."""
        if (update.kind is Kind.PREVIEW and not self.previews) or self._only not in {None, update.kind}:
            return
        with self._lock:
            self._waiting.append(update)
            if len(self._waiting) > _BACKLOG:
                self._drop_one()
            first = len(self._waiting) == 1
        if first:
            try:
                self._loop.call_soon_threadsafe(self._ready.set)
            except RuntimeError:  # the reader's loop is closed, and with it the reader
                self._leave(self)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits for the reader."""
        with self._lock:
            return not self._waiting

    def take(self) -> Update | None:
        """The next update, or None when there is none yet."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._ready.clear()
            return None

    async def next(self, timeout_s: float | None = None) -> Update | None:
        """The next update, or None when `timeout_s` pass without one."""
        while (update := self.take()) is None:
            try:
                await asyncio.wait_for(self._ready.wait(), timeout_s)
            except TimeoutError:
                return None
        return update

    def _drop_one(self) -> None:
        """The oldest picture of progress; without one the oldest of what is no end of a job."""
        for spared in (_SPARED, frozenset(Kind) - {Kind.FINISHED}):
            for index, update in enumerate(self._waiting):
                if update.kind in spared:
                    del self._waiting[index]
                    return
        self._waiting.popleft()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(self)


class EventHub:
    """`publish` from any thread, `subscribe` on a loop, `listen` with a callback that must be brief."""

    def __init__(self, clock: Callable[[], float]) -> None:
        # Tells this process's numbers from those of the one before it.
        self.epoch = secrets.token_hex(4)
        self._clock = clock
        # Entered again by a reader that is found gone while it is offered an update.
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._memory: OrderedDict[JobId, deque[Update]] = OrderedDict()
        self._readers: dict[JobId | None, set[Subscription]] = {}
        self._listeners: list[Callable[[Update], None]] = []

    def publish(self, job_id: JobId, kind: Kind, data: Mapping[str, Any], job: Job | None = None) -> None:
        """Number an update, remember it (previews aside) and hand it to everyone who wants it."""
        with self._lock:
            update = Update(job_id, next(self._numbers), self._clock(), kind, data, job)
            self._remember(update)
            # Within the lock, so that two threads' updates reach every reader in the order of their numbers.
            for reader in (*self._readers.get(job_id, ()), *self._readers.get(None, ())):
                reader.offer(update)
            listeners = list(self._listeners)
        for listener in listeners:
            listener(update)

    def subscribe(
        self,
        job_id: JobId | None = None,
        after: int | None = None,
        *,
        previews: bool = False,
        only: Kind | None = None,
    ) -> Subscription:
        """Updates of one job, or of all. `after`: what is remembered of the job beyond that number comes first.

        `only`: the reader is woken for that kind, and what comes of others it does not get.
        """

        def leave(reader: Subscription) -> None:
            with self._lock:
                readers = self._readers.get(job_id, set())
                readers.discard(reader)
                if not readers:
                    self._readers.pop(job_id, None)

        with self._lock:
            history = self._memory.get(job_id, ()) if job_id is not None else ()
            reader = Subscription(leave, tuple(history), after, previews=previews, only=only)
            self._readers.setdefault(job_id, set()).add(reader)
        return reader

    def listen(self, listener: Callable[[Update], None]) -> None:
        """Call `listener` with every update, in the thread that publishes it."""
        with self._lock:
            self._listeners.append(listener)

    def newest(self, job_id: JobId) -> Update | None:
        """The job's newest update that is remembered."""
        with self._lock:
            memory = self._memory.get(job_id)
            return memory[-1] if memory else None

    def wants_previews(self, job_id: JobId) -> bool:
        """Whether a reader of the job has asked for pictures of the unfinished work."""
        with self._lock:
            return any(reader.previews for reader in self._readers.get(job_id, ()))

    def readers(self) -> int:
        """How many subscriptions there are."""
        with self._lock:
            return sum(len(readers) for readers in self._readers.values())

    def _remember(self, update: Update) -> None:
        if update.kind is Kind.PREVIEW:
            return
        memory = self._memory.setdefault(update.job_id, deque(maxlen=_REMEMBERED))
        self._memory.move_to_end(update.job_id)
        memory.append(update)
        if update.kind is Kind.FINISHED:
            # How far it was on its way interests nobody any more.
            kept = [each for each in memory if each.kind not in _SPARED]
            self._memory[update.job_id] = deque(kept, maxlen=_REMEMBERED)
        while len(self._memory) > _REMEMBERED_JOBS:
            self._memory.popitem(last=False)
