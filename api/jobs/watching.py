"""A job told as frames to one reader: a snapshot, what happens from then on, and the end. Knows no transport."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from ..errors import JobNotFound
from ..ids import JobId
from .hub import EventHub, Subscription
from .job import ACTIVE, Job, Status
from .service import JobService
from .store import JobFilter
from .updates import Kind, Update
from .view import Frame, View, counted

# How long nothing may be heard of a job before the store is asked: another process may run or end it.
_LOOK_AFTER_S = 1.0
# With many jobs more, so that looking at them takes a few tenths of a core at most.
_LOOK_AFTER_PER_JOB_S = 0.005
_END = "end"

Frames = AsyncGenerator[Frame | None, None]


class _Seen(NamedTuple):
    """A job as the store has it, and its place in line while it waits."""

    job: Job
    position: int | None


class _Look(NamedTuple):
    """A look into the store: when it began, and what it finds; None for a job that is gone."""

    began_at: float
    finding: asyncio.Task[_Seen | None]


class _Looks:
    """Looks at each job once a second, however many want to know. Belongs to an event loop."""

    def __init__(self, look: Callable[[JobId], _Seen | None]) -> None:
        self._look = look
        # The oldest first; those of jobs that nobody asks about any more go.
        self._looks: dict[JobId, _Look] = {}

    def newest(self, job_id: JobId) -> asyncio.Task[_Seen | None] | None:
        """What is found by a look that began within the last second; None when the next one is not due yet."""
        now = asyncio.get_running_loop().time()
        pause_s = max(_LOOK_AFTER_S, len(self._looks) * _LOOK_AFTER_PER_JOB_S)
        look = self._looks.get(job_id)
        if look is None or now - look.began_at >= pause_s:
            self._looks.pop(job_id, None)
            self._forget(now - 2 * pause_s - _LOOK_AFTER_S)
            look = self._looks[job_id] = _Look(now, asyncio.create_task(asyncio.to_thread(self._look, job_id)))
        # What is older may be older than what its reader has been told since.
        return look.finding if now - look.began_at < _LOOK_AFTER_S else None

    def _forget(self, before: float) -> None:
        while self._looks and (job_id := next(iter(self._looks))) and self._looks[job_id].began_at < before:
            del self._looks[job_id]


class Watch:
    """Makes the frames of jobs. Its methods belong to an event loop and never block it."""

    def __init__(self, service: JobService, hub: EventHub) -> None:
        self._service = service
        self._hub = hub
        self._looks = _Looks(self._seen)

    async def job(self, job_id: JobId) -> Job:
        """The job. Raises JobNotFound."""
        return await asyncio.to_thread(self._service.get, job_id)

    def has_seen_all(self, job: Job, last_id: str | None) -> bool:
        """Whether a reader who was told up to `last_id` knows already how the job ended."""
        if not (last_id and job.is_terminal):
            return False
        newest = self._hub.newest(job.id)
        seen = self._number(last_id)
        return last_id.endswith(f"-{_END}") or (seen is not None and newest is not None and newest.seq <= seen)

    async def frames(self, job_id: JobId, last_id: str | None = None, *, previews: bool = False) -> Frames:
        """A snapshot, or what came after `last_id` where that is still known, then all news up to `finished`.

        None whenever a second passes without news. Ends early when the record of the job goes. Raises JobNotFound.
        """
        with self._hub.subscribe(job_id, self._number(last_id), previews=previews) as updates:
            job = await self.job(job_id)
            view = View(job, updates.history)
            if not updates.resumed:
                yield view.snapshot(await self._position(job))
                if job.is_terminal:
                    yield self._numbered(view.end(job), _END)
                    return
            async for frame in self._news(updates, view):
                yield frame
                if frame is not None and frame.event == Kind.FINISHED:
                    return

    async def all_frames(self) -> Frames:
        """How many jobs there are in each state, then the updates of all jobs of this process, without end.

        None whenever a second passes without news.
        """
        with self._hub.subscribe() as updates:
            yield await asyncio.to_thread(self._overview)
            views: dict[JobId, View] = {}
            while True:
                update = await updates.next(_LOOK_AFTER_S)
                if update is None:
                    yield None
                    continue
                view = views.setdefault(update.job_id, View(Job(update.job_id, update.at)))
                frame = view.told(update)
                if update.kind in {Kind.QUEUED, Kind.FINISHED}:
                    del views[update.job_id]
                if frame is not None:
                    yield frame

    async def present(self, limit: int = 200) -> list[Frame]:
        """Snapshots of the jobs that run and of those that are next in line, so many of either."""
        return await asyncio.to_thread(self._present, limit)

    def _present(self, limit: int) -> list[Frame]:
        running = self._service.list(JobFilter(statuses=ACTIVE), limit).jobs
        waiting = enumerate(self._service.upcoming(limit))
        return [*(View(job).snapshot(None) for job in running), *(View(job).snapshot(place) for place, job in waiting)]

    async def _news(self, updates: Subscription, view: View) -> Frames:
        while True:
            update = await updates.next(_LOOK_AFTER_S)
            frames = await (self._told(_burst(update, updates), view) if update else self._looked_up(updates, view))
            if frames is None:
                return
            if not frames:
                yield None
            for frame in frames:
                yield frame

    async def _told(self, burst: Iterable[Update], view: View) -> list[Frame]:
        frames: list[Frame] = []
        for update in burst:
            frame = view.told(update)
            if frame is None:
                continue
            if update.kind is Kind.QUEUED:
                frame = view.queued(await asyncio.to_thread(self._service.position, view.job_id), update)
            if frames and frames[-1].event == frame.event == Kind.PROGRESS:
                frames.pop()
            frames.append(self._numbered(frame, str(update.seq)))
        return frames

    async def _looked_up(self, updates: Subscription, view: View) -> list[Frame] | None:
        """What the store knows more; None when the job is gone."""
        look = self._looks.newest(view.job_id)
        if look is None:
            return []
        # Others wait for it too, and go on when this reader leaves.
        seen = await asyncio.shield(look)
        if seen is None:
            return None
        if not updates.is_empty:
            return []
        return [self._numbered(f, _END) if f.event == Kind.FINISHED else f for f in view.seen(*seen)]

    def _seen(self, job_id: JobId) -> _Seen | None:
        try:
            job = self._service.get(job_id)
        except JobNotFound:
            return None
        return _Seen(job, self._service.position(job_id) if job.status is Status.QUEUED else None)

    async def _position(self, job: Job) -> int | None:
        if job.status is not Status.QUEUED:
            return None
        return await asyncio.to_thread(self._service.position, job.id)

    def _overview(self) -> Frame:
        return Frame("overview", {"paused": self._service.paused(), "counts": counted(self._service.counts())})

    def _numbered(self, frame: Frame, number: str) -> Frame:
        return replace(frame, id=f"{self._hub.epoch}-{number}")

    def _number(self, last_id: str | None) -> int | None:
        """The number in an id of this process; None for one of another, or for none."""
        epoch, _, number = (last_id or "").partition("-")
        return int(number) if epoch == self._hub.epoch and number.isascii() and number.isdigit() else None


def _burst(first: Update, updates: Subscription) -> list[Update]:
    """The update, and when it is one of progress all that waits behind it: the last of them is enough."""
    burst = [first]
    while burst[-1].kind is Kind.PROGRESS and (update := updates.take()) is not None:
        burst.append(update)
    return burst
