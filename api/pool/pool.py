"""Who has room for a job, and which job waits for which ComfyUI.

One lock guards it and all that is known of the ComfyUIs; nothing is asked over the wire while it is held.
"""

import time
from collections.abc import Callable

from ..breaker import Cause, State
from ..errors import ComfyBusy, ComfyUnreachable
from ..ids import InstanceName, PromptId
from ..logs import get_logger
from .balancer import Balancer
from .member import Member
from .needs import Offers
from .roster import Roster
from .seats import Seat
from .ticket import Ticket
from .times import Times

# A job that waits looks again so often: what was expected to take some time may take longer.
_LOOK_AGAIN_S = 0.5
# Jobs in hand for each slot by default: one in it, one on its way back, and some that wait for a certain ComfyUI.
_IN_HAND_PER_SLOT = 4
_WAITING_PER_SLOT = 2
# A job whose inputs take longer to fetch keeps no slot from others: it waits for one when it has them.
_FETCH_S = 1.0

log = get_logger()


class Pool:
    """Safe to share between threads. `max_jobs` bounds the seats taken at once, `patience_s` the wait without one."""

    def __init__(
        self,
        roster: Roster,
        *,
        max_jobs: int | None = None,
        patience_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._roster = roster
        self._changed = roster.changed
        self._max_jobs = max_jobs
        self._patience_s = patience_s
        self._clock = clock
        self._times = Times()
        self._balancer = Balancer(self._times)
        self._seats: set[Seat] = set()
        self._waiting: list[Ticket] = []
        self._is_closing = False

    # --- capacity ---

    def take(self, timeout_s: float) -> Seat | None:
        """A seat, waited for as long at most; None when there is none."""
        with self._changed:
            if not self._changed.wait_for(self._has_room, timeout_s):
                return None
            seat = Seat(self._leave, taken_at=self._clock())
            self._seats.add(seat)
            return seat

    def available(self, besides: InstanceName | None = None) -> bool:
        """Whether a job given now would start without waiting for room, in another than `besides`."""
        with self._changed:
            return any(member.free for member in self._roster.takers if member.name != besides)

    def most(self) -> int:
        """How many seats there are at most."""
        with self._changed:
            return self._max_jobs or _IN_HAND_PER_SLOT * sum(member.slots for member in self._roster.members)

    def seat_on(self, member: Member) -> Seat:
        """For a job that is to run there, whatever the state."""
        return Seat(self._leave, member)

    def hand_back_waiting(self) -> None:
        """From now on no seats are given, and jobs that wait for a ComfyUI are turned away."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def _leave(self, seat: Seat) -> None:
        with self._changed:
            self._seats.discard(seat)
            self._changed.notify_all()

    def _has_room(self) -> bool:
        takers = self._roster.takers
        if self._is_closing or len(self._seats) >= self.most():
            return False
        since = self._clock() - _FETCH_S
        reserved = sum(not seat.is_used and seat.taken_at >= since for seat in self._seats)
        if sum(member.free for member in takers) <= reserved:
            return False
        return len(self._waiting) < self._patient() or any(member.is_idle for member in takers)

    def _patient(self) -> int:
        """How many jobs may wait for a certain ComfyUI while others are free."""
        return _WAITING_PER_SLOT * sum(member.slots for member in self._roster.takers)

    # --- jobs ---

    def place(self, ticket: Ticket, seat: Seat | None) -> Member:
        """Wait for the ComfyUI the job is to run on.

        Raises ComfyBusy for a job with a seat that has to go back into the line, ComfyUnreachable for one without,
        the reason of its cancel, and what `Ticket.cancel` was given.
        """
        ticket.cancel.on_cancel(self._wake)
        deadline = self._clock() + self._patience_s
        with self._changed:
            if seat is not None:
                seat.is_used = True
            if ticket.pinned is not None and ticket.pinned.is_removed and not (seat and seat.pinned):
                ticket.pinned = None  # it was removed since it was found to have the job's prompt
            sole = ticket.pinned or self._sole(ticket, seat)
            if sole is not None:
                self._put(ticket, sole, cold=False)
                return sole
            self._waiting.append(ticket)
            self._waiting.sort(key=lambda waiting: waiting.number)
            try:
                return self._await_member(ticket, seat, deadline)
            finally:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)

    def release(self, ticket: Ticket) -> None:
        """Its prompt no longer executes there. Again is no harm."""
        with self._changed:
            member = ticket.member
            if member is not None and ticket in member.tickets:
                member.tickets.remove(ticket)
                member.idle_since = self._clock()
                self._match()
                self._changed.notify_all()

    def depart(self, ticket: Ticket) -> None:
        """It is through with the ComfyUI it was on."""
        self.release(ticket)
        with self._changed:
            if ticket.member is not None:
                ticket.member.users -= 1
            ticket.unplace()

    def note_submitted(self, ticket: Ticket, prompt_id: PromptId) -> None:
        """It has a prompt there now."""
        with self._changed:
            ticket.prompt_id, ticket.began_at = prompt_id, None

    def note_begun(self, ticket: Ticket) -> None:
        """Its prompt executes."""
        with self._changed:
            ticket.began_at = self._clock()

    def note_done(self, member: Member, ticket: Ticket, seconds: float | None) -> None:
        """It ran to its end there, and took so long; None when that tells nothing."""
        with self._changed:
            member.breaker.succeed(Cause.RUN)
            if seconds is not None:
                self._times.note(member.name, ticket.needs.kind, seconds, cold=ticket.is_cold)

    def blame(self, member: Member, reason: str) -> None:
        """A run was lost there, and the ComfyUI is the reason."""
        with self._changed:
            if self._roster.is_several and member.breaker.fail(Cause.RUN, reason):
                member.trouble = f"It has lost too many jobs in a row, the last one so: {reason}"
                log.warning("ComfyUI gets no more jobs for now", instance=member.name, reason=reason)
            self._changed.notify_all()

    def elsewhere(self, ticket: Ticket, member: Member) -> bool:
        """Whether another ComfyUI than `member` could run the job now or soon."""
        with self._changed:
            return any(other is not member and ticket.may_run_on(other) for other in self._roster.takers)

    def lacking(self, ticket: Ticket) -> list[tuple[Member, Offers]]:
        """The ComfyUIs it is for with what they have, when each is known to lack something it needs; else none."""
        with self._changed:
            members = [member for member in self._roster.members if ticket.is_for(member)]
            if not members or not all(ticket.lacks(member) for member in members):
                return []
            return [(member, member.offers) for member in members if member.offers is not None]

    def _sole(self, ticket: Ticket, seat: Seat | None) -> Member | None:
        """The only ComfyUI there is: its jobs wait in itself, as they would without a pool."""
        if len(self._roster.members) != 1:
            return None
        (member,) = self._roster.members
        if not ticket.is_for(member):
            return None
        return None if seat is not None and (member.is_draining or not member.free) else member

    def _await_member(self, ticket: Ticket, seat: Seat | None, deadline: float) -> Member:
        while True:
            self._match()
            if ticket.member is not None:
                return ticket.member
            ticket.cancel.raise_if_set()
            if seat is not None:
                self._check_stay(ticket)
            elif self._clock() >= deadline and not self._hopeful(ticket):
                raise ComfyUnreachable(self._obstacle(ticket))
            self._changed.wait(_LOOK_AGAIN_S)

    def _check_stay(self, ticket: Ticket) -> None:
        """Raises ComfyBusy when it would stand in the way of others: the line is the place to wait for long.

        One that any of them may run does not: it waits because all are busy, and its inputs are here already.
        """
        is_choosy = not all(ticket.may_run_on(member) for member in self._roster.takers)
        is_behind = is_choosy and self._waiting.index(ticket) >= self._patient()
        if self._is_closing or is_behind or not self._hopeful(ticket):
            raise ComfyBusy(self._obstacle(ticket))

    def _hopeful(self, ticket: Ticket) -> bool:
        return any(ticket.may_run_on(member) for member in self._roster.takers)

    def _obstacle(self, ticket: Ticket) -> str:
        fitting = [member for member in self._roster.members if ticket.may_run_on(member)]
        told = [f"{member.name} ({member.state.rstrip('.')})" for member in fitting]
        if not told:
            told = [f"a ComfyUI with the label {ticket.label}" if ticket.label else "a ComfyUI"]
        return f"The job waits for {' or '.join(told)}."

    def _match(self) -> None:
        now = self._clock()
        members = self._roster.members
        assigned = list(self._balancer.assign(self._waiting, members, now, self._patient()))
        for ticket, member, cost in assigned:
            self._waiting.remove(ticket)
            self._put(ticket, member, cold=cost.cold)
        if assigned:
            self._changed.notify_all()

    def _put(self, ticket: Ticket, member: Member, *, cold: bool) -> None:
        ticket.place(member, cold=cold)
        member.tickets.append(ticket)
        member.given += 1
        member.users += 1
        member.models = ticket.needs.models or member.models

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # --- upkeep ---

    def rebalance(self) -> None:
        """Take back jobs that would be done sooner elsewhere, and those of a ComfyUI that is gone."""
        with self._changed:
            members = self._roster.members
            moved = list(self._balancer.moves(members, self._clock()))
            lost = [(ticket, member) for member in members if self._is_gone(member) for ticket in self._movable(member)]
            for ticket, member in lost:
                if ticket.prompt_id is not None:
                    member.orphans.add(ticket.prompt_id)
        for ticket in moved:
            log.info("A waiting job is taken back for a ComfyUI that is free", instance=_name_of(ticket))
            ticket.leash.recall.cancel()
        for ticket, member in lost:
            log.warning("ComfyUI is away, its job goes elsewhere", instance=member.name)
            ticket.leash.give_up(ComfyUnreachable(f"The ComfyUI {member.name} went away: {member.breaker.reason}"))

    def await_change(self, timeout_s: float) -> None:
        """Until something has changed and there may be something to rebalance, or the time is over."""
        with self._changed:
            if not any(member.tickets for member in self._roster.members):
                self._changed.wait(timeout_s)

    def _is_gone(self, member: Member) -> bool:
        return member.is_removed or (member.breaker.state is State.OPEN and member.breaker.cause is Cause.PROBE)

    def _movable(self, member: Member) -> list[Ticket]:
        takers = [other for other in self._roster.takers if other is not member]
        return [
            ticket
            for ticket in member.tickets
            if not ticket.leash.cancel.is_set() and any(ticket.may_run_on(other) for other in takers)
        ]


def _name_of(ticket: Ticket) -> InstanceName | None:
    return ticket.member.name if ticket.member else None
