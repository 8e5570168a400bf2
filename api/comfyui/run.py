"""Runs one prompt on one ComfyUI: submit, follow, stop when asked. Fetches no outputs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ..errors import ComfyError, Detail
from ..ids import PromptId
from .client import ComfyClient
from .events import ComfyEvent, PromptAccepted
from .follow import Follower
from .history import HistoryEntry, Verdict
from .limits import Cancel, Outage, RunLimits, StopReason, StopSignal
from .rejection import Rejection
from .stop import Stopped, stop_prompt
from .stream import ComfyStream
from .submit import PromptBody, Submitter
from .subscription import Subscription


class End(StrEnum):
    """How a run ended for the caller."""

    FINISHED = "finished"
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
    resume: bool = False,
    accept_partial: bool = False,
) -> RunEnd:
    """Run the prompt to its end. `prompt_id` is a lowercase uuid4 of the caller's making, used for nothing else.

    With `resume` it is not submitted, but looked up first: it was, before a crash of the caller. `accept_partial` lets
    a workflow run of which ComfyUI validated only some outputs; else that is a PromptRejected. The history entry
    stays: delete it once the outputs are fetched. `emit` is called in this thread.

    Raises PromptRejected, InvalidWorkflow, InputTooLarge; ExecutionInterrupted when taken from the queue by others;
    PromptLost, ComfyUnreachable, ComfyProtocolError, ComfyWedged.
    """
    run = _Run(client, stream, prompt_id, limits=limits or RunLimits(), emit=emit, cancel=cancel)
    with stream.subscribe(prompt_id) as mailbox:
        cancel.on_cancel(mailbox.wake)
        return run.resumed(mailbox) if resume else run.submitted(body, mailbox, accept_partial=accept_partial)


class _Run:
    def __init__(
        self,
        client: ComfyClient,
        stream: ComfyStream,
        prompt_id: PromptId,
        *,
        limits: RunLimits,
        emit: Callable[[ComfyEvent], None],
        cancel: Cancel,
    ) -> None:
        self._client = client
        self._stream = stream
        self._prompt_id = prompt_id
        self._limits = limits
        self._emit = emit
        self._stop = StopSignal(cancel, limits.timeout_s)
        self._outage = Outage(limits.outage_grace_s)

    def resumed(self, mailbox: Subscription) -> RunEnd:
        self._stream.ensure_connected(0)
        return self._follow(mailbox, submitted_at_s=None)

    def submitted(self, body: PromptBody, mailbox: Subscription, *, accept_partial: bool) -> RunEnd:
        submitter = Submitter(
            self._client,
            body,
            self._prompt_id,
            self._stream.client_id,
            stop=self._stop,
            outage=self._outage,
            probe_timeout_s=self._limits.probe_timeout_s,
            patience_s=self._limits.outage_grace_s,
        )
        # Events sent before the socket is registered go nowhere: connect first.
        self._stream.ensure_connected(self._limits.connect_s)
        before_s = time.monotonic()
        if self._stop.reason or (accepted := submitter.submit()) is None:
            return RunEnd(_ENDS[self._stop.reason or StopReason.CANCELLED])
        if accepted.dropped and not accept_partial:
            self._reject(accepted.dropped, mailbox)
        self._emit(PromptAccepted(accepted.number))
        dropped = accepted.dropped.details if accepted.dropped else ()
        return self._follow(mailbox, submitted_at_s=before_s, dropped=dropped)

    def _follow(
        self, mailbox: Subscription, *, submitted_at_s: float | None, dropped: tuple[Detail, ...] = ()
    ) -> RunEnd:
        follower = Follower(
            self._client,
            self._stream,
            mailbox,
            self._prompt_id,
            emit=self._emit,
            stop=self._stop,
            outage=self._outage,
            limits=self._limits,
            submitted_at_s=submitted_at_s,
        )
        entry = follower.follow()
        if entry:
            return RunEnd(End.FINISHED, entry, dropped=dropped)
        return self._stopped(mailbox, dropped)

    def _stopped(self, mailbox: Subscription, dropped: tuple[Detail, ...]) -> RunEnd:
        reason = self._stop.reason or StopReason.CANCELLED
        stopped = self._stop_prompt(mailbox)
        entry = stopped.entry
        if entry and reason is StopReason.TIMED_OUT and entry.verdict is Verdict.SUCCESS:
            return RunEnd(End.FINISHED, entry, dropped=dropped)  # it was quicker than the stop
        if entry:
            self._forget()
        return RunEnd(_ENDS[reason], stop_ignored=not stopped.confirmed)

    def _reject(self, rejection: Rejection, mailbox: Subscription) -> None:
        """Half a graph is running already: stop it, nobody will fetch it."""
        if self._stop_prompt(mailbox).entry:
            self._forget()
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
