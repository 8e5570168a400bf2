"""Watches one ComfyUI: has it show that it works before it gets jobs, and notices when it no longer does."""

import threading
import time
from collections.abc import Callable

from ..breaker import Cause, State
from ..comfyui.client import ComfyClient
from ..comfyui.cutoff import Cutoff
from ..comfyui.limits import RunLimits
from ..comfyui.lookup import Place, locate
from ..errors import ComfyError, WorkerError
from ..ids import PromptId
from ..jobs.cancel import CancelToken
from ..jobs.survived import survived
from ..logs import get_logger
from .canary import run_canary
from .member import Member
from .needs import Offers
from .roster import Roster

_TOLD_EVERY_S = 60.0
_AFTER_MISS_S = 0.25
_STOP_AGAIN_S = 0.5
_NOTICED_S = 0.1
_CANARY_S = 30.0

WarmUp = Callable[[Member], None]

log = get_logger()


class Prober:
    """One thread. `client` is for its own short looks; `warm_up` has the ComfyUI run a workflow of the operator."""

    def __init__(
        self,
        roster: Roster,
        member: Member,
        client: ComfyClient,
        *,
        interval_s: float,
        canary: Callable[[], bool],
        limits: RunLimits,
        warm_up: WarmUp,
    ) -> None:
        self._roster = roster
        self._member = member
        self._instance = member.instance
        self._token = CancelToken()
        self._client = client.cut_by(Cutoff(self._token))
        self._interval_s = interval_s
        self._canary = canary
        self._limits = limits
        self._warm_up = warm_up
        self._stopping = threading.Event()
        self._losses = 0
        self._pid: int | None = None
        self._mark: PromptId | None = None
        self._told_at = float("-inf")
        self._thread = threading.Thread(target=self._work, name=f"prober-{member.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._token.cancel()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._client.close()

    def part(self) -> None:
        """`stop`, and have the ComfyUI forget what it had of jobs that go elsewhere, if it answers."""
        self.stop()
        self._forget_orphans(self._instance.client)

    def _work(self) -> None:
        while not self._stopping.is_set():
            pause_s, known = self._interval_s, set(self._member.orphans)
            with survived("ComfyUI cannot be looked at", instance=self._member.name):
                pause_s = self._looked()
            self._pause(pause_s, known)

    def _pause(self, seconds: float, known: set[PromptId]) -> None:
        """Cut short by the loss of the socket, the first sign of a process that has ended, and by a prompt to stop."""
        until, losses = time.monotonic() + seconds, self._instance.stream.losses
        while (left_s := until - time.monotonic()) > 0 and self._instance.stream.losses == losses:
            if not self._member.orphans <= known:
                return
            if self._stopping.wait(min(_NOTICED_S, left_s)):
                return

    def _looked(self) -> float:
        try:
            return self._look()
        except WorkerError as error:
            if not self._stopping.is_set():
                self._roster.note_failed_trial(self._member, error.message)
                self._tell(error.message)
        return self._interval_s

    def _look(self) -> float:
        """Look once; seconds to the next look."""
        member = self._member
        if not member.is_ready or member.breaker.is_due:
            self._have_it_show()
        elif member.breaker.state is State.CLOSED:
            if not self._probe():
                return min(_AFTER_MISS_S, self._interval_s)
            if self._instance.stream.losses != self._losses and self._is_restarted():
                self._roster.note_unready(member, "It was restarted and has to show that it works.")
                return 0.0
            if not self._orphans_gone(self._client):
                return min(_STOP_AGAIN_S, self._interval_s)
        return self._interval_s

    def _probe(self) -> bool:
        """Whether it gives a sign of life."""
        stream = self._instance.stream
        if self._member.tickets and stream.connected and stream.heard_since(time.monotonic() - self._interval_s):
            self._roster.note_answer(self._member, None)
            return True
        try:
            remaining = self._client.queue_remaining()
        except ComfyError as error:
            if not self._stopping.is_set():
                self._roster.note_miss(self._member, error.message)
            return False
        self._roster.note_answer(self._member, remaining)
        if not stream.connected:
            self._instance.wait_ready(self._token)
        return True

    def _have_it_show(self) -> None:
        """Wait for it, tidy up, and have it run something. Raises WorkerError when it does not."""
        member, instance = self._member, self._instance
        instance.wait_ready(self._token)
        self._client.queue_remaining()
        is_anew = self._is_restarted()
        is_doubted = member.breaker.cause is Cause.RUN
        self._roster.note_trial(member)
        self._losses, self._pid = instance.stream.losses, instance.process.pid()
        self._forget_orphans(self._client)
        offers = Offers(member.catalog.object_info(0.0)) if self._roster.is_several else None
        if self._canary() and (is_doubted or not self._client.queue_remaining()):
            self._sing()
        if is_anew:
            self._warm_up(member)
        # Tells its GPU, which jobs may ask for.
        instance.facts()
        self._roster.note_ready(member, offers, anew=is_anew)
        self._told_at = float("-inf")
        log.info("ComfyUI is usable", instance=member.name)

    def _sing(self) -> None:
        before, self._mark = self._mark, None
        self._mark = run_canary(self._instance, self._limits, _CANARY_S, self._token)
        if before is not None:
            self._client.delete_history(before)

    def _is_restarted(self) -> bool:
        """Whether it may be another process than the one that was looked at last."""
        pid = self._instance.process.pid()
        if pid is not None:
            return pid != self._pid
        if self._mark is None:
            return True
        try:
            is_gone = locate(self._client, self._mark).place is Place.ABSENT
        except ComfyError:
            return False  # the next look tells
        if not is_gone:
            self._losses = self._instance.stream.losses
        return is_gone

    def _forget_orphans(self, client: ComfyClient) -> None:
        """Have them gone before it gets jobs; a node that cannot be interrupted is not waited for to its end."""
        until = time.monotonic() + self._limits.stop_grace_s
        while not self._orphans_gone(client) and time.monotonic() < until:
            time.sleep(_STOP_AGAIN_S)

    def _orphans_gone(self, client: ComfyClient) -> bool:
        """Take prompts that nobody waits for out of the queue, or interrupt them; True when none is left.

        Again and again, since an interrupt may be lost.
        """
        if not self._member.orphans:
            return True
        left = orphans = self._roster.take_orphans(self._member)
        try:
            client.delete_queued(*orphans)
            running = orphans & {prompt.prompt_id for prompt in client.queue(self._limits.probe_timeout_s).running}
            for prompt_id in running:
                client.interrupt(prompt_id)
            if gone := orphans - running:
                client.delete_history(*gone)
            left = running
        except ComfyError as error:
            log.debug("Prompts nobody waits for are stopped later", instance=self._member.name, error=error.message)
        for prompt_id in left:
            self._roster.note_orphan(self._member, prompt_id)
        return not left

    def _tell(self, reason: str) -> None:
        if time.monotonic() - self._told_at > _TOLD_EVERY_S:
            self._told_at = time.monotonic()
            log.warning("ComfyUI is not usable, jobs wait", instance=self._member.name, reason=reason)
