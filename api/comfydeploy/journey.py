"""One run at ComfyUI Deploy, from being queued to its end: queued once, followed, stopped when nobody waits."""

import random
import time
from collections.abc import Callable

from ..deploy_errors import (
    DeployBusy,
    DeployError,
    DeployNotFound,
    DeployProtocolError,
    DeployRefused,
    DeployRunUnknown,
    DeployUnreachable,
)
from ..errors import ComfyUnreachable, JobTimedOut, WorkerError, WorkerStopping
from ..ids import InstanceName, PromptId
from ..jobs.cancel import CancelToken
from ..jobs.events import Emit, NodeStarted, ProgressMade, PromptAssigned, PromptQueued, PromptStarted, StageFinished
from ..jobs.ports import Attempt
from ..logs import get_logger
from .client import DeployClient
from .news import News, Waiting, is_marker, new_marker
from .rows import RunState

log = get_logger()

# With news coming in, looks are only for those that get lost.
_SLOWER_WITH_NEWS = 5
# A run that was queued just now may not be everywhere yet.
_UNSEEN_S = 10.0
# Each one is a request.
_LOOKED_THROUGH = 200
_RUNNING = frozenset({"running", "uploading"})

# Queues the run, given where its webhooks shall go; its id.
Submit = Callable[[str | None], str]


class Journey:
    """`receiver` is where webhooks reach this process; None when they cannot."""

    def __init__(
        self,
        client: DeployClient,
        news: News,
        name: InstanceName,
        emit: Emit,
        cancel: CancelToken,
        *,
        receiver: str | None,
        poll_s: float,
        patience_s: float,
        timeout_s: float | None,
    ) -> None:
        self._client = client
        self._news = news
        self._name = name
        self._emit = emit
        self._cancel = cancel
        self._receiver = receiver
        self._poll_s = poll_s
        self._patience_s = patience_s
        self._timeout_s = timeout_s
        self._waiting = Waiting()
        self._began_at: float | None = None
        self._told: tuple[str, float, str | None, int | None] | None = None
        self.run_id: str | None = None

    def of(self, submit: Submit, workflow_id: str, resume: Attempt | None) -> RunState:
        """The run at its end. Raises DeployError's children, JobTimedOut, the reason of the cancel."""
        marker = new_marker()
        if resume is not None and is_marker(resume.prompt_id):
            marker = resume.prompt_id
        self._waiting = self._news.expect(marker)
        self._cancel.on_cancel(self._waiting.wake)
        try:
            run_id = self._earlier(marker, workflow_id, resume) or self._queued(submit, marker, workflow_id)
            return self._followed(run_id)
        finally:
            self._news.forget(marker)

    def _earlier(self, marker: str, workflow_id: str, resume: Attempt | None) -> str | None:
        """The run that an earlier worker has queued; None when it came to none."""
        if resume is None or resume.instance != self._name:
            return None
        return self._found(marker, workflow_id) if is_marker(resume.prompt_id) else resume.prompt_id

    def _queued(self, submit: Submit, marker: str, workflow_id: str) -> str:
        # Kept before anything is queued: whoever takes over looks for a run with this mark instead of queueing another.
        self._emit(PromptAssigned(PromptId(marker), self._name))
        try:
            return submit(f"{self._receiver}/{marker}" if self._receiver else None)
        except DeployRunUnknown:
            found = self._found(marker, workflow_id)
            if found is None:
                raise
            log.info("The run was queued although the answer was lost", run_id=found)
            return found

    def _found(self, marker: str, workflow_id: str) -> str | None:
        """The run whose webhook has the mark, among the newest of the workflow; None when there certainly is none."""
        if self._receiver is None:
            raise DeployRunUnknown(
                "A run may have been queued at ComfyUI Deploy, and its id was lost. Look there before you submit the "
                "job again. With WEBHOOK_URL set such runs are found again."
            )
        claimed = self._waiting.claimed
        if claimed and self._has_mark(claimed, marker):
            return claimed
        looked = 0
        for row in self._client.runs_of(workflow_id, _LOOKED_THROUGH, self._cancel):
            looked += 1
            if self._has_mark(str(row.get("id")), marker):
                return str(row.get("id"))
        if looked == _LOOKED_THROUGH:
            raise DeployRunUnknown(
                f"A run may have been queued at ComfyUI Deploy before the newest {_LOOKED_THROUGH} of the workflow. "
                "Look there before you submit the job again."
            )
        return None

    def _has_mark(self, run_id: str, marker: str) -> bool:
        try:
            return marker in (self._client.run(run_id, self._cancel).webhook or "")
        except DeployNotFound:
            return False

    def _followed(self, run_id: str) -> RunState:
        self.run_id = run_id
        started = time.monotonic()
        try:
            self._emit(PromptAssigned(PromptId(run_id), self._name))
            run = self._ended(run_id, started)
        except BaseException as error:
            self._left(run_id, error)
            raise
        total_s = time.monotonic() - started
        execute_s = min(total_s, time.monotonic() - (self._began_at or time.monotonic()))
        self._emit(StageFinished("wait", round(total_s - execute_s, 4)))
        self._emit(StageFinished("execute", round(execute_s, 4)))
        return run

    def _ended(self, run_id: str, started: float) -> RunState:
        away_since: float | None = None
        while True:
            self._cancel.raise_if_set()
            heard = self._waiting.heard
            try:
                run = self._client.run(run_id, self._cancel)
                away_since = None
            except (DeployUnreachable, DeployBusy, DeployProtocolError) as error:
                away_since = self._away(error, away_since)
            except DeployNotFound:
                if time.monotonic() - started > _UNSEEN_S:
                    raise
            else:
                self._narrate(run)
                if run.has_ended:
                    return run
                self._check_time()
            slower = _SLOWER_WITH_NEWS if heard else 1
            self._waiting.wait(self._poll_s * slower * random.uniform(0.8, 1.2))  # noqa: S311

    def _away(self, error: DeployError, since: float | None) -> float:
        """The run goes on without us: it is only given up to whoever asks later."""
        since = since or time.monotonic()
        if time.monotonic() - since > self._patience_s:
            raise ComfyUnreachable(f"{error.message} The run goes on there ({self.run_id}).") from error
        return since

    def _narrate(self, run: RunState) -> None:
        is_running = run.status in _RUNNING or run.has_ended
        if is_running and self._began_at is None:
            self._began_at = time.monotonic()
            self._emit(PromptStarted())
        now = (run.status, run.progress, run.live_status, run.queue_position)
        if now == self._told:
            return
        before, self._told = self._told, now
        if not is_running:
            self._emit(PromptQueued(run.queue_position or 0))
            return
        if run.live_status and (before is None or run.live_status != before[2]):
            self._emit(NodeStarted("", run.live_status.removeprefix("Executing "), run.live_status[:200]))
        if run.status != "cancelled" and (before is None or run.progress >= before[1]):
            self._emit(ProgressMade(round(run.progress * 100, 2), 0, 0))

    def _check_time(self) -> None:
        if self._timeout_s is None or self._began_at is None:
            return
        if time.monotonic() - self._began_at > self._timeout_s:
            raise JobTimedOut(f"The job did not finish within its limit of {self._timeout_s:g} s and was stopped.")

    def _left(self, run_id: str, error: BaseException) -> None:
        """Stop what nobody waits for any more. What another worker will follow goes on."""
        if self._cancel.is_set():
            is_unwanted = not isinstance(self._cancel.reason, WorkerStopping)
        else:
            is_unwanted = isinstance(error, JobTimedOut) or not isinstance(error, WorkerError)
        if not is_unwanted:
            return
        try:
            self._client.cancel(run_id)
        except DeployRefused as refused:
            log.warning("ComfyUI Deploy does not stop the run", run_id=run_id, error=refused.message)
        except DeployError as failed:
            log.warning("ComfyUI Deploy was not told to stop the run", run_id=run_id, error=failed.message)
