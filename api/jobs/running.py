"""One job while this process runs it: what it told last, whether its lease holds, and how to stop it."""

import math
import threading
import time

from ..errors import JobExpired, WorkerError
from .cancel import CancelToken, TakenOver
from .events import JobEvent, NodeStarted, ProgressMade, PromptAssigned, PromptStarted, StepReached
from .hub import EventHub
from .job import EXPIRED_TEXT, Job
from .measured import Measured
from .ports import Duty
from .store import JobStore, Progress
from .trouble import Trouble
from .updates import told

# What a database takes for a number; a node that counts further counts something else.
_MOST_STEPS = 2**31 - 1


class RunningJob:
    """`began`: its prompt has begun to execute. `has_run`: what is left is to write its end down.

    `abandoned`: that is no longer this process's to do.

    `duties` are to be done when the end is written down, or the next run begins anew: until then it can be followed.
    """

    def __init__(self, job: Job, store: JobStore, hub: EventHub) -> None:
        self.job = job
        self.token = CancelToken()
        self.began = False
        self.instance = job.instance
        self.has_run = False
        self.lost = False
        self.abandoned = False
        self.duties: list[Duty] = []
        # What keeps its end from being written down.
        self.unwritten = Trouble("The end of a job cannot be written down yet", "The end of a job is written down now")
        self._no_heartbeat = Trouble("No heartbeat", "Heartbeats are heard again")
        self.measured = Measured(is_resumed=job.prompt_id is not None)
        self._store = store
        self._hub = hub
        self._lock = threading.Lock()
        self._progress = Progress(0.0)
        self._told = self._progress
        self._beat_at = time.monotonic()
        self._expires_at = self._beat_at + _left_s(job)

    def emit(self, event: JobEvent) -> None:
        """Take one event of the run. Raises what ends the run: nobody may submit a prompt without a lease."""
        if self.abandoned:
            return
        self.measured.note(event)
        match event:
            case PromptAssigned(prompt_id=prompt_id, instance=instance):
                self.began, self.instance = False, instance
                if not self._store.assign_prompt(self.job.lease, prompt_id, instance):
                    self._lose()
                    self.token.raise_if_set()
            case PromptStarted() | NodeStarted() | ProgressMade() | StepReached():
                self.began = True
                self._note(event)
            case _:
                pass
        update = told(event)
        if update is not None:
            self._hub.publish(self.job.id, *update)

    def beat(self, every_s: float) -> None:
        """Say how far the job is when that is news, and every so often that it is alive.

        Stops it when its lease is void or it shall be cancelled.
        """
        if self.abandoned or self.lost:
            return
        if not self.began and time.monotonic() >= self._expires_at:
            # It has been given to ComfyUI and waits there as it would in line.
            self.token.cancel(JobExpired(EXPIRED_TEXT))
        with self._lock:
            progress = self._progress
        if progress == self._told and time.monotonic() - self._beat_at < every_s:
            return
        self._beat_at = time.monotonic()
        try:
            job = self._store.heartbeat(self.job.lease, progress if progress != self._told else None)
        except WorkerError as error:
            self._no_heartbeat.met(error.message, job_id=self.job.id)
            return
        self._no_heartbeat.over(job_id=self.job.id)
        self._told = progress
        if job is None:
            self._lose()
        elif job.cancel_requested:
            self.token.cancel()

    def do_duties(self) -> None:
        """Once each."""
        while self.duties:
            self.duties.pop()()

    def _note(self, event: JobEvent) -> None:
        with self._lock:
            now = self._progress
            match event:
                case NodeStarted(node_id=node_id):
                    self._progress = now._replace(node=node_id, step=None, steps=None)
                case StepReached(step=step, steps=steps) if max(step, steps) <= _MOST_STEPS:
                    self._progress = now._replace(step=step, steps=steps)
                case ProgressMade(percent=percent):
                    self._progress = now._replace(progress=round(percent / 100, 4))
                case _:
                    pass

    def _lose(self) -> None:
        self.lost = True
        self.token.cancel(TakenOver("Another worker has taken the job over."))


def _left_s(job: Job) -> float:
    """What was left of its time to live when it was claimed; one that is followed may have begun long ago."""
    if job.expires_at is None or job.started_at is None or job.prompt_id is not None:
        return math.inf
    return job.expires_at - job.started_at
