"""Follows a prompt from its submit to the end: HTTP decides, the socket only says when to look."""

import time
from collections.abc import Callable, Iterable

from ..errors import ComfyDied, ComfyProtocolError, ComfyUnreachable, ExecutionInterrupted, PromptLost, WorkerError
from ..ids import PromptId
from .client import ComfyClient
from .events import ComfyEvent, ExecutionStarted, Hint, HintKind, LookNow, PromptWaiting
from .history import HistoryEntry
from .limits import Cancel, Outage, RunLimits, StopSignal
from .lookup import Found, Place, locate
from .stream import ComfyStream
from .subscription import Subscription
from .watchdog import Watchdog
from .worker_thread import Look, WorkerThread

# After `execution_success` the history follows within 1.5–6.7 ms, and `executing null` right behind it.
_SETTLE_S = 0.02
_SECOND_LOOK_S = 0.2
# The first look when the socket has said nothing: a deaf socket costs a short job no more than this.
_FIRST_LOOK_S = 0.25
_OUTAGE_PAUSE_S = 0.5
_DEAF_AFTER_S = 1.0


class Follower:
    """The state of following one prompt. Use once. `submitted_at_s` (time.monotonic) is None for an earlier submit.

    `recall` asks that the prompt be taken out of the queue again while it waits there; `recalled` says that it was.
    """

    def __init__(
        self,
        client: ComfyClient,
        stream: ComfyStream,
        mailbox: Subscription,
        prompt_id: PromptId,
        *,
        emit: Callable[[ComfyEvent], None],
        stop: StopSignal,
        outage: Outage,
        limits: RunLimits,
        worker: WorkerThread,
        threads: Look | None,
        submitted_at_s: float | None,
        recall: Cancel | None = None,
    ) -> None:
        self._client = client
        self._stream = stream
        self._mailbox = mailbox
        self._prompt_id = prompt_id
        self._emit = emit
        self._stop = stop
        self._outage = outage
        self._limits = limits
        self._submitted_at_s = submitted_at_s
        self._worker = worker
        self._threads = threads
        self._watchdog = Watchdog(client, stream, limits, worker)
        now = time.monotonic()
        self._losses_before = stream.losses
        self._was_connected = stream.connected
        self._interval_s = _FIRST_LOOK_S
        self._look_at = now if submitted_at_s is None else now + _FIRST_LOOK_S
        self._settle_s = _SETTLE_S
        self._started = False
        self._absent_since_s: float | None = None
        self._last: Found | None = None
        self._recall = recall
        self.recalled = False

    def follow(self) -> HistoryEntry | None:
        """The finished prompt's history; None when it has to be stopped, or was taken back.

        Raises PromptLost, ComfyDied, ExecutionInterrupted (taken from the queue by somebody), ComfyUnreachable,
        ComfyProtocolError and ComfyWedged.
        """
        if not self._was_connected:
            self._emit(LookNow(connected=False))
        while self._stop.reason is None:
            if self._recall and self._recall.is_set() and self._take_back():
                return None
            pause_s = min(self._look_at - time.monotonic(), self._stop.remaining_s)
            if self._note(self._mailbox.take(pause_s)) and (entry := self._fetch()):
                return entry
            if time.monotonic() >= self._look_at and (entry := self._look()):
                return entry
        return None

    def _take_back(self) -> bool:
        """Out of the queue, and seen to be; once, since what has begun meanwhile goes on."""
        self._recall = None
        if self._started:
            return False
        try:
            self._client.delete_queued(self._prompt_id)
            found = locate(self._client, self._prompt_id, self._limits.probe_timeout_s)
        except (ComfyUnreachable, ComfyProtocolError) as error:
            self._note_outage(error)
            return False
        # It was in the queue for certain: nothing of it can still be on its way in.
        self.recalled = found.place is Place.ABSENT
        self._look_within(0)
        return self.recalled

    def _note(self, events: Iterable[ComfyEvent]) -> bool:
        """Pass the events on; True when the end was announced for certain."""
        ended = False
        for event in events:
            if isinstance(event, LookNow):
                self._emit(event)
                self._look_within(0)
                continue
            self._watchdog.note_change()
            self._begin()
            if isinstance(event, Hint):
                ended = ended or event.kind is HintKind.ENDED
                self._look_within(self._settle_s)
            if not isinstance(event, ExecutionStarted):
                self._emit(event)
        return ended

    def _begin(self) -> None:
        """Tell the beginning once, and before anything else: its own message may have been missed."""
        if not self._started:
            self._started = True
            self._stop.begin()
            self._worker.after_start(self._threads)
            self._emit(ExecutionStarted())

    def _fetch(self) -> HistoryEntry | None:
        """`executing null` is sent after the entry can be read (300 of 300): no look at the queue is needed."""
        try:
            entry = self._client.history(self._prompt_id, self._limits.probe_timeout_s)
        except (ComfyUnreachable, ComfyProtocolError) as error:
            self._note_outage(error)
            return None
        if entry is None:
            self._look_within(0)
        return entry

    def _look(self) -> HistoryEntry | None:
        try:
            found = locate(self._client, self._prompt_id, self._limits.probe_timeout_s)
        except (ComfyUnreachable, ComfyProtocolError) as error:
            self._note_outage(error)
            return None
        self._outage.end()
        if found.place is Place.ABSENT:
            self._note_absence()
            return None
        self._absent_since_s = None
        self._check_hearing(found.place)
        if found.entry is None:
            self._note_place(found)
        return found.entry

    def _note_outage(self, error: ComfyUnreachable | ComfyProtocolError) -> None:
        self._outage.note(error)
        self._look_at = time.monotonic() + _OUTAGE_PAUSE_S

    def _note_absence(self) -> None:
        """Absent twice, some time apart, is gone."""
        now = time.monotonic()
        if self._absent_since_s is None:
            self._absent_since_s = now
        elif now - self._absent_since_s >= _SECOND_LOOK_S:
            raise self._gone()
        self._look_at = self._absent_since_s + _SECOND_LOOK_S

    def _note_place(self, found: Found) -> None:
        if found != self._last:
            self._last = found
            self._watchdog.note_change()
            if found.place is Place.PENDING:
                self._emit(PromptWaiting(found.ahead))
            else:
                self._begin()
        self._watchdog.check(running=found.place is Place.RUNNING)
        lively = self._stream.heard_since(time.monotonic() - self._limits.poll_lively_s)
        longest_s = self._limits.poll_lively_s if lively else self._limits.poll_s
        self._look_at = time.monotonic() + min(self._interval_s, longest_s)
        self._interval_s = min(self._interval_s * 2, longest_s)
        self._settle_s = min(self._settle_s * 2, self._limits.poll_s)

    def _check_hearing(self, place: Place) -> None:
        """Each submit makes the server send `status` to every socket: one that got none is deaf."""
        submitted_at_s = self._submitted_at_s
        if submitted_at_s is None or self._stream.heard_since(submitted_at_s):
            return
        if place is Place.FINISHED or time.monotonic() - submitted_at_s > _DEAF_AFTER_S:
            self._stream.suspect_deaf()

    def _look_within(self, seconds: float) -> None:
        self._look_at = min(self._look_at, time.monotonic() + seconds)

    def _gone(self) -> WorkerError:
        # A deleted prompt leaves no trace, a restart loses all: with the socket open the whole time and no failed
        # request ComfyUI did not restart, and what never ran can only have been taken from the queue.
        is_held = self._was_connected and self._stream.losses == self._losses_before
        stayed_up = is_held and not self._outage.ever
        if stayed_up and not self._started and self._submitted_at_s is not None:
            return ExecutionInterrupted("Somebody took the prompt out of ComfyUI's queue before it ran.")
        if stayed_up:
            return PromptLost("ComfyUI has no trace of the prompt any more: its history was cleared.")
        # An end of the process costs the socket and the look that follows; the loss of one of them costs no prompt.
        if self._started and self._outage.ever and not is_held:
            return ComfyDied("ComfyUI ended while it was executing the prompt.")
        return PromptLost("ComfyUI lost the prompt: it was restarted, or its history was cleared.")
