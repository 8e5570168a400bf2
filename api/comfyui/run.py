"""Runs one prompt on one ComfyUI: submit, follow, stop when asked. Fetches no outputs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ..errors import ComfyError, Detail, ExecutionInterrupted, InvalidInput
from ..ids import PromptId
from .client import ComfyClient
from .cutoff import Cutoff
from .events import ComfyEvent, PromptAccepted
from .follow import Follower
from .history import HistoryEntry, Verdict
from .limits import Cancel, Outage, RunLimits, StopReason, StopSignal
from .rejection import Rejection
from .stop import Stopped, stop_prompt
from .stream import ComfyStream
from .submit import PromptBody, Submitter
from .subscription import Subscription
from .worker_thread import Look, WorkerThread


class End(StrEnum):
    """How a run ended for the caller. RECALLED: taken out of the queue before it began, and sure never to run."""

    FINISHED = "finished"
    RECALLED = "recalled"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a run. `entry` is there when it FINISHED, which includes failed and interrupted runs.

    `stop_ignored`: the prompt was to be stopped and ComfyUI still runs it, or is out of reach; only ending the process
    helps. `dropped` lists the findings about outputs that ComfyUI left out.
    """

    end: End
    entry: HistoryEntry | None = None
    stop_ignored: bool = False
    dropped: tuple[Detail, ...] = ()


_ENDS = {StopReason.CANCELLED: End.CANCELLED, StopReason.TIMED_OUT: End.TIMED_OUT}


def run_prompt(
    client: ComfyClient,
    stream: ComfyStream,
    body: PromptBody,
    prompt_id: PromptId,
    *,
    emit: Callable[[ComfyEvent], None],
    cancel: Cancel,
    limits: RunLimits | None = None,
    worker: WorkerThread | None = None,
    resume: bool = False,
    accept_partial: bool = False,
    recall: Cancel | None = None,
    is_given_up: Callable[[], bool] = lambda: False,
) -> RunEnd:
    """Run the prompt to its end. `prompt_id` is a lowercase uuid4 of the caller's making, used for nothing else.

    With `resume` it is not submitted, but looked up first: it was, before a crash of the caller. `accept_partial` lets
    a workflow run of which ComfyUI validated only some outputs; else that is a PromptRejected. `worker` helps to find
    a wedged ComfyUI on this machine. The history entry stays: delete it once the outputs are fetched. `emit` is called
    in this thread; when it raises, the prompt is stopped. `recall` asks that the prompt be taken back unless it has
    begun. Where `is_given_up` says that this ComfyUI is out of reach, a cancelled prompt is left as it is.

    Raises PromptRejected, InvalidWorkflow, InputTooLarge; ExecutionInterrupted when taken from the queue by others;
    PromptLost, ComfyDied, ComfyUnreachable, ComfyProtocolError, ComfyWedged.
    """
    worker = worker or WorkerThread(lambda: None)
    run = _Run(
        client,
        stream,
        prompt_id,
        limits=limits or RunLimits(),
        worker=worker,
        emit=emit,
        cancel=cancel,
        recall=recall,
        is_given_up=is_given_up,
    )
    with stream.subscribe(prompt_id) as mailbox:
        cancel.on_cancel(mailbox.wake)
        if recall:
            recall.on_cancel(mailbox.wake)
        try:
            return run.resumed(mailbox) if resume else run.submitted(body, mailbox, accept_partial=accept_partial)
        except (ComfyError, ExecutionInterrupted, InvalidInput):
            raise
        except BaseException:
            run.abandon(mailbox)
            raise


class _Run:
    def __init__(
        self,
        client: ComfyClient,
        stream: ComfyStream,
        prompt_id: PromptId,
        *,
        limits: RunLimits,
        worker: WorkerThread,
        emit: Callable[[ComfyEvent], None],
        cancel: Cancel,
        recall: Cancel | None,
        is_given_up: Callable[[], bool],
    ) -> None:
        self._client = client
        self._recall = recall
        self._is_given_up = is_given_up
        # What a cancel does not end is the stopping that follows it.
        self._cut_client = client.cut_by(Cutoff(cancel))
        self._cancel = cancel
        self._stream = stream
        self._prompt_id = prompt_id
        self._limits = limits
        self._worker = worker
        self._emit = emit
        self._stop = StopSignal(cancel, limits.timeout_s)
        self._outage = Outage(limits.outage_grace_s)

    def resumed(self, mailbox: Subscription) -> RunEnd:
        self._stream.ensure_connected(0)
        return self._follow(mailbox, submitted_at_s=None, threads=None)

    def submitted(self, body: PromptBody, mailbox: Subscription, *, accept_partial: bool) -> RunEnd:
        submitter = Submitter(
            self._cut_client,
            body,
            self._prompt_id,
            self._stream.client_id,
            stop=self._stop,
            outage=self._outage,
            probe_timeout_s=self._limits.probe_timeout_s,
            patience_s=self._limits.outage_grace_s,
        )
        # Events sent before the socket is registered go nowhere: connect first.
        self._stream.ensure_connected(self._limits.connect_s, self._cancel)
        threads = self._worker.before_run()
        before_s = time.monotonic()
        if self._stop.reason or (accepted := submitter.submit()) is None:
            return RunEnd(_ENDS[self._stop.reason or StopReason.CANCELLED])
        if accepted.dropped and not accept_partial:
            self._reject(accepted.dropped, mailbox)
        self._emit(PromptAccepted(accepted.number))
        dropped = accepted.dropped.details if accepted.dropped else ()
        end = self._follow(mailbox, submitted_at_s=before_s, threads=threads, dropped=dropped)
        if end.entry:
            self._worker.after_run(threads)
        return end

    def abandon(self, mailbox: Subscription) -> None:
        """Leave no prompt running that nobody waits for."""
        if not self._is_given_up() and self._stop_prompt(mailbox).entry:
            self._forget()

    def _follow(
        self,
        mailbox: Subscription,
        *,
        submitted_at_s: float | None,
        threads: Look | None,
        dropped: tuple[Detail, ...] = (),
    ) -> RunEnd:
        follower = Follower(
            self._cut_client,
            self._stream,
            mailbox,
            self._prompt_id,
            emit=self._emit,
            stop=self._stop,
            outage=self._outage,
            limits=self._limits,
            worker=self._worker,
            threads=threads,
            submitted_at_s=submitted_at_s,
            recall=self._recall,
        )
        entry = follower.follow()
        if entry:
            return RunEnd(End.FINISHED, entry, dropped=dropped)
        if follower.recalled:
            return RunEnd(End.RECALLED)
        return self._stopped(mailbox, dropped)

    def _stopped(self, mailbox: Subscription, dropped: tuple[Detail, ...]) -> RunEnd:
        reason = self._stop.reason or StopReason.CANCELLED
        if self._is_given_up():
            return RunEnd(_ENDS[reason])
        stopped = self._stop_prompt(mailbox)
        entry = stopped.entry
        if entry and reason is StopReason.TIMED_OUT and entry.verdict is not Verdict.INTERRUPTED:
            return RunEnd(End.FINISHED, entry, dropped=dropped)  # it was quicker than the stop
        if entry:
            self._forget()
        return RunEnd(_ENDS[reason], stop_ignored=not stopped.confirmed)

    def _reject(self, rejection: Rejection, mailbox: Subscription) -> None:
        """Half a graph is running already: stop it, nobody will fetch it."""
        self.abandon(mailbox)
        raise rejection.error()

    def _stop_prompt(self, mailbox: Subscription) -> Stopped:
        return stop_prompt(
            self._client,
            mailbox,
            self._prompt_id,
            grace_s=self._limits.stop_grace_s,
            probe_timeout_s=self._limits.probe_timeout_s,
        )

    def _forget(self) -> None:
        try:
            self._client.delete_history(self._prompt_id)
        except ComfyError:
            return
