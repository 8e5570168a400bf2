"""The pool as a Target: a job is placed, run, and placed again where its ComfyUI let it down."""

import hashlib
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..breaker import State
from ..comfyui.lookup import Place, locate_surely
from ..errors import (
    ComfyError,
    ComfyProtocolError,
    CudaFault,
    ExecutionFailed,
    OutOfVram,
    PromptLost,
    PromptRejected,
    WorkerError,
)
from ..jobs.cancel import CancelToken
from ..jobs.events import Emit, JobEvent, PromptAssigned, PromptStarted, StageFinished
from ..jobs.ports import Attempt, RunOutcome, RunRequest
from ..logs import get_logger
from ..workflows import graph
from .leash import Recalled
from .member import Member
from .needs import NOTHING, Offers, needs_of, refusal
from .pool import Pool
from .roster import Roster
from .seats import Seat
from .ticket import Ticket

# What a ComfyUI has may have changed since it was asked: definitions older than this are asked for anew first.
_STALE_AFTER_S = 5.0
_TOLD_WAIT_S = 0.001
# Either the job is the reason or the ComfyUI it ran on: the next one tells.
_DOUBTFUL = (OutOfVram, CudaFault, ComfyProtocolError)

log = get_logger()


class PoolTarget:
    """Any number of threads may run jobs. `max_attempts`: runs of a job that ComfyUIs lose while they execute it."""

    def __init__(self, pool: Pool, roster: Roster, max_attempts: int) -> None:
        self._pool = pool
        self._roster = roster
        self._max_attempts = max_attempts

    def run(self, request: RunRequest, workdir: Path, emit: Emit, cancel: CancelToken) -> RunOutcome:
        """Run one job to its outputs in `workdir`. Raises a WorkerError when nothing was produced."""
        journey = _Journey(self._pool, self._roster, request, emit, cancel, self._max_attempts)
        return journey.run(workdir)

    def let_go(self, earlier: Attempt, folder: str | None) -> None:
        """The job of that prompt has ended: ComfyUI is to stop and forget it, as soon as it answers.

        `folder`: the job's own there goes as well; None when that is seen to.
        """
        member = self._roster.find(earlier.instance)
        if member is not None:
            _let_go(self._roster, member, earlier, folder)


class _Journey:
    """One job in the pool, over all the ComfyUIs it is given to."""

    def __init__(
        self, pool: Pool, roster: Roster, request: RunRequest, emit: Emit, cancel: CancelToken, max_attempts: int
    ) -> None:
        self._pool = pool
        self._roster = roster
        self._request = request
        self._emit = emit
        self._cancel = cancel
        self._max_attempts = max_attempts
        self._seat = request.seat if isinstance(request.seat, Seat) else None
        is_choice = roster.is_several
        needs = needs_of(graph.save_streamed_frames(request.workflow)) if is_choice else NOTHING
        self._ticket = Ticket(needs, cancel, self._seat.pinned if self._seat else None, label=request.label)
        self._suspects: list[tuple[Member, WorkerError]] = []
        self._losses = 0

    def run(self, workdir: Path) -> RunOutcome:
        if self._roster.is_several:
            self._find_earlier()
        while True:
            self._check_possible()
            waited_since = time.monotonic()
            member = self._pool.place(self._ticket, self._seat)
            started_at = time.time()
            try:
                self._tell_wait(time.monotonic() - waited_since)
                outcome = self._run_on(member, workdir)
            except Recalled:
                log.info("Job taken back before it began, it goes elsewhere", instance=member.name)
            except WorkerError as error:
                self._note(member, error)
                if not self._goes_on(member, error):
                    raise
                log.warning("Run lost, the job goes elsewhere", instance=member.name, reason=error.message)
                if isinstance(error, CudaFault):
                    member.instance.restart(started_at)
            else:
                self._note_success(member, outcome)
                return outcome
            finally:
                self._pool.depart(self._ticket)
            self._request = replace(self._request, resume=None)

    def _tell_wait(self, waited_s: float) -> None:
        if waited_s > _TOLD_WAIT_S:
            self._emit(StageFinished("wait", round(waited_s, 4)))

    def _run_on(self, member: Member, workdir: Path) -> RunOutcome:
        several = self._roster.is_several
        request = replace(self._request, folder=_folder_on(member, self._request.folder)) if several else self._request
        return member.target.run(
            request,
            workdir,
            self._tell,
            self._cancel,
            leash=self._ticket.leash,
            max_attempts=1 if several else self._max_attempts,
        )

    def _tell(self, event: JobEvent) -> None:
        match event:
            case PromptAssigned(prompt_id=prompt_id):
                self._pool.note_submitted(self._ticket, prompt_id)
            case PromptStarted():
                self._pool.note_begun(self._ticket)
            case StageFinished(stage="execute", seconds=seconds):
                self._ticket.execute_s = seconds
                self._pool.release(self._ticket)
            case _:
                pass
        self._emit(event)

    # --- how it ended there ---

    def _note_success(self, member: Member, outcome: RunOutcome) -> None:
        rendered = not outcome.files or not all(file.reused for file in outcome.files)
        self._pool.note_done(member, self._ticket, self._ticket.execute_s if rendered else None)
        for suspect, error in self._suspects:
            self._pool.blame(suspect, error.message)

    def _note(self, member: Member, error: WorkerError) -> None:
        """What the end says about the ComfyUI. A victim of another job's crash says nothing new."""
        leash = self._ticket.leash
        if self._cancel.is_set() or leash.is_given_up():
            return
        if isinstance(error, _DOUBTFUL):
            self._suspects.append((member, error))
        elif isinstance(error, ComfyError) and (self._ticket.has_begun or not isinstance(error, PromptLost)):
            self._pool.blame(member, error.message)
        elif isinstance(error, ExecutionFailed):
            self._pool.note_done(member, self._ticket, None)

    def _goes_on(self, member: Member, error: WorkerError) -> bool:
        """Whether the job is to be run on another ComfyUI."""
        ticket = self._ticket
        if self._cancel.is_set() or ticket.leash.has_executed:
            return False
        if not (self._roster.is_several or member.is_removed):
            return False
        if isinstance(error, PromptRejected):
            self._refresh([member])
            ticket.avoid.add(member.name)
            return self._pool.elsewhere(ticket, member)
        if not isinstance(error, ComfyError | OutOfVram | CudaFault):
            return False
        ticket.avoid.add(member.name)
        if isinstance(error, _DOUBTFUL):
            may_repeat = len(self._suspects) == 1 or not ticket.has_begun
        else:
            # Its removal was somebody's wish: no sign that the job ends ComfyUIs.
            self._losses += ticket.has_begun and not member.is_removed
            may_repeat = self._losses < self._max_attempts
        return may_repeat and self._pool.elsewhere(ticket, member)

    # --- what is known before ---

    def _check_possible(self) -> None:
        """Raises PromptRejected when no ComfyUI has what the job needs."""
        ticket = self._ticket
        if ticket.pinned or not self._roster.is_several or not (lacking := self._pool.lacking(ticket)):
            return
        self._refresh([member for member, _offers in lacking])
        if lacking := self._pool.lacking(ticket):
            raise refusal((member.name, offers, tuple(ticket.lacks(member))) for member, offers in lacking)

    def _refresh(self, members: list[Member]) -> None:
        for member in members:
            with suppress(ComfyError):
                offers = Offers(member.catalog.object_info(_STALE_AFTER_S))
                self._roster.note_offers(member, offers)

    def _find_earlier(self) -> None:
        """The job's earlier prompt is followed where it is; it is forgotten where nobody answers now."""
        earlier = self._request.resume
        if earlier is None or self._ticket.pinned:
            return
        named = self._roster.find(earlier.instance)
        if named is None:  # noqa: SIM108 - the comment has its place
            asked = list(self._roster.takers)
        else:  # also one that has yet to show that it works, as all have when the worker has just started
            asked = [named] if named.breaker.state is State.CLOSED else []
        self._ticket.pinned = next((member for member in asked if _has(member, earlier)), None)
        if self._ticket.pinned is None:
            self._request = replace(self._request, resume=None)
            if named is not None and not named.is_healthy:
                _let_go(self._roster, named, earlier, self._request.folder)


def _let_go(roster: Roster, member: Member, earlier: Attempt, folder: str | None) -> None:
    if folder is not None:
        member.cleaner.forget(_folder_on(member, folder) if roster.is_several else folder, ())
    roster.note_orphan(member, earlier.prompt_id)


def _has(member: Member, earlier: Attempt) -> bool:
    try:
        return locate_surely(member.instance.client, earlier.prompt_id).place is not Place.ABSENT
    except ComfyError:
        return False


def _folder_on(member: Member, folder: str) -> str:
    """ComfyUIs on one machine may share their folders: what one's clean-up removes is not what another one uses."""
    return f"job-{hashlib.sha256(f'{folder} {member.name}'.encode()).hexdigest()[:32]}"
