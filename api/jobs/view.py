"""What one reader knows of a job: folds updates, and looks into the store, into frames that are whole by themselves."""

import base64
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .job import Job, JobError, Status
from .updates import Kind, Preview, Update

# The words of webhooks and events for a job's state.
WORDS: Mapping[Status, str] = {
    Status.QUEUED: "pending",
    Status.RUNNING: "running",
    Status.CANCELING: "running",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.TIMED_OUT: "timed_out",
    Status.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One message to a reader: `data` is JSON. With an `id` the reader can come back to this place."""

    event: str
    data: Mapping[str, Any]
    id: str | None = None


class View:
    """Starts with the job as the store has it and what is remembered of its updates, which may be newer."""

    def __init__(self, job: Job, history: Iterable[Update] = ()) -> None:
        self.job_id = job.id
        self._job = job
        self._is_waiting = job.status is Status.QUEUED
        # This process runs it: what it tells is newer than what the store has.
        self._is_heard = False
        self._position: int | None = None
        self._outputs: list[dict[str, str]] = []
        self._progress = _stored(job)
        for update in history:
            self.told(update)
        if job.status is Status.QUEUED:
            # What is remembered is of a run that was lost.
            self._reset(waiting=True)

    def snapshot(self, position: int | None) -> Frame:
        """The job as it stands; `position` counts the jobs before it while it waits."""
        self._position = position
        job = self._job
        data = {
            "status": WORDS[job.status],
            "position": position,
            **self._progress,
            "attempt": job.attempts,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "finished_at": job.finished_at,
            "outputs": list(self._outputs),
            "error": _error(job.error) if job.is_terminal else None,
        }
        if job.status is Status.SUCCEEDED:
            data["percent"] = 100.0
        return self._frame("snapshot", data)

    def told(self, update: Update) -> Frame | None:
        """What an update means to the reader; None for what it knows already."""
        match update.kind:
            case Kind.QUEUED:
                return self._requeued(update)
            case Kind.STARTED:
                return self._started(update.data, update.at)
            case Kind.PROGRESS:
                return self._advanced(update.data, update.at)
            case Kind.PREVIEW:
                return self._frame(Kind.PREVIEW, _encoded(update.data["preview"]), update.at)
            case Kind.OUTPUT:
                self._outputs.append(dict(update.data))
                return self._frame(Kind.OUTPUT, update.data, update.at)
            case Kind.WARNING:
                return self._frame(Kind.WARNING, update.data, update.at)
            case _:
                return self._ended(Status(update.data["status"]), update.data.get("error"), update.at)

    def seen(self, job: Job, position: int | None) -> list[Frame]:
        """What the store knows that was not told here."""
        before, self._job = self._job, job
        if job.is_terminal:
            return [self.end(job)]
        if job.status is Status.QUEUED:
            known = self._is_waiting and position == self._position
            self._reset(waiting=True)
            return [] if known else [self._in_line(position, again=job.attempt > 0)]
        if self._is_heard:
            return []
        frames = []
        if self._is_waiting or job.attempt != before.attempt:
            self._reset(waiting=False)
            frames.append(self._frame(Kind.STARTED, {"stage": "preparing", "attempt": job.attempts, "ahead": None}))
        progress = _stored(job)
        if progress != self._progress:
            self._progress = progress
            frames.append(self._frame(Kind.PROGRESS, progress))
        return frames

    def queued(self, position: int | None, update: Update) -> Frame:
        """An update that it waits, with the place in line that was asked for."""
        return self._in_line(position, again=bool(update.data.get("again")), at=update.at)

    def end(self, job: Job) -> Frame:
        """The end of a job that has ended."""
        return self._ended(job.status, _error(job.error), job.finished_at)

    def _requeued(self, update: Update) -> Frame | None:
        if self._is_heard and not update.data.get("again"):
            # A worker was quicker than the news of the job's arrival.
            return None
        self._reset(waiting=True)
        return self.queued(update.data.get("position"), update)

    def _started(self, data: Mapping[str, Any], at: float) -> Frame:
        if "attempt" in data:
            self._reset(waiting=False)
        self._is_heard, self._is_waiting = True, False
        stage = data.get("stage", "preparing")
        told = {"stage": stage, "attempt": data.get("attempt"), "ahead": data.get("ahead")}
        return self._frame(Kind.STARTED, told, at)

    def _advanced(self, data: Mapping[str, Any], at: float) -> Frame | None:
        self._is_heard, self._is_waiting = True, False
        before = dict(self._progress)
        if data.get("node_id", before["node_id"]) != before["node_id"]:
            self._progress |= {"node": None, "step": None, "steps": None}
        self._progress |= data
        # ComfyUI says several times a second where it is, new or not.
        return None if self._progress == before else self._frame(Kind.PROGRESS, self._progress, at)

    def _ended(self, status: Status, error: Mapping[str, str] | None, at: float | None) -> Frame:
        self._is_heard = False
        return self._frame(Kind.FINISHED, {"status": WORDS[status], "error": error}, at)

    def _reset(self, *, waiting: bool) -> None:
        self._is_waiting, self._is_heard = waiting, False
        self._outputs = []
        self._progress = dict(_NO_PROGRESS)

    def _in_line(self, position: int | None, *, again: bool, at: float | None = None) -> Frame:
        self._position = position
        return self._frame(Kind.QUEUED, {"position": position, "again": again}, at)

    def _frame(self, event: str, data: Mapping[str, Any], at: float | None = None) -> Frame:
        return Frame(str(event), {"job_id": self.job_id, "at": time.time() if at is None else at, **data})


_NO_PROGRESS: Mapping[str, Any] = {
    "percent": 0.0,
    "node_id": None,
    "node": None,
    "step": None,
    "steps": None,
    "nodes_done": None,
    "nodes_total": None,
}


def counted(counts: Mapping[Status, int]) -> dict[str, int]:
    """How many jobs there are in each state, by WORDS."""
    numbers = dict.fromkeys(WORDS.values(), 0)
    for status, count in counts.items():
        numbers[WORDS[status]] += count
    return numbers


def _stored(job: Job) -> dict[str, Any]:
    known = {"percent": round(job.progress * 100, 2), "node_id": job.node, "step": job.step, "steps": job.steps}
    return {**_NO_PROGRESS, **known}


def _error(error: JobError | None) -> dict[str, str] | None:
    return {"code": error.code, "message": error.message} if error else None


def _encoded(preview: Preview) -> dict[str, str]:
    data = base64.b64encode(preview.image).decode("ascii")
    return {"node_id": preview.node_id, "mime_type": preview.mime_type, "data": data}
