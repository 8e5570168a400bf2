"""Which ComfyUI gets which job: where it will be done first, counting the models that would have to be loaded.

Pure decisions over members and tickets; whoever calls holds the pool's lock and does what is decided.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..ids import InstanceName
from .member import Member
from .ticket import Ticket
from .times import Times

# Another try at a ComfyUI that has just failed is worth so much waiting elsewhere, per failure.
_STRIKE_S = 5.0
# A move costs a moment, and estimates err.
_GAIN_S = 0.25
_GAIN_SHARE = 0.2
# Estimates closer than this are equal.
_TIE_SHARE = 0.1
_TIE_S = 0.02
# Free for a shorter time than this, it will be given a job that waits in line.
_SETTLED_S = 0.15


@dataclass
class _Plan:
    """What a member will have on its hands: seconds until the next job begins, models then loaded, slots left."""

    wait_s: float
    models: frozenset[str]
    free: int


@dataclass(frozen=True)
class Cost:
    """`total_s` is what is compared; `execute_s` and `cold` what becomes of it when it goes there."""

    total_s: float
    execute_s: float
    cold: bool


class Balancer:
    """`times` is shared with the pool."""

    def __init__(self, times: Times) -> None:
        self._times = times

    def assign(
        self, waiting: Sequence[Ticket], members: Sequence[Member], now: float, patient: int
    ) -> Iterator[tuple[Ticket, Member, Cost]]:
        """Who goes where now, first come, first served.

        One may wait for a ComfyUI that is busy rather than take a free one, when it will be done sooner there; those
        behind the first `patient` ones may not, as long as a ComfyUI is idle.
        """
        plans = {member.name: self._plan(member, now) for member in members if member.takes_jobs}
        kept = 0
        for ticket in waiting:
            options = [member for member in members if member.takes_jobs and ticket.may_run_on(member)]
            if kept >= patient:
                options = [member for member in options if member.is_idle and plans[member.name].free > 0] or options
            if not options:
                continue
            costs = {member.name: self._cost(ticket, member, plans[member.name]) for member in options}
            best = self._best(options, plans, costs)
            plan, cost = plans[best.name], costs[best.name]
            if plan.free > 0:
                yield ticket, best, cost
            else:
                kept += 1
            plan.free -= 1
            plan.wait_s += cost.execute_s
            plan.models = ticket.needs.models or plan.models

    def moves(self, members: Sequence[Member], now: float) -> Iterator[Ticket]:
        """Jobs that wait inside one ComfyUI and would be done sooner by another that has nothing to do."""
        idle = [member for member in members if member.takes_jobs and member.is_idle]
        taken: set[int] = set()
        for member in idle:
            if now - member.idle_since < _SETTLED_S:
                continue
            gains = {
                ticket.number: (self._gain_s(ticket, member, now), ticket)
                for other in members
                for ticket in other.tickets
                if ticket.number not in taken and _may_be_moved(ticket) and ticket.may_run_on(member)
            }
            gain_s, ticket = max(gains.values(), key=lambda gain: gain[0], default=(0.0, None))
            if ticket is not None and gain_s > 0:
                taken.add(ticket.number)
                yield ticket

    def _gain_s(self, ticket: Ticket, to: Member, now: float) -> float:
        """Seconds won by the move, beyond what makes it worth while; a drained ComfyUI is left at any price."""
        at = ticket.member
        if at is None:
            return 0.0
        if not at.takes_jobs:
            return float("inf")
        stay_s = at.wait_s(self._times, now, ticket)
        stay_s += self._times.expected(at.name, ticket.needs.kind, cold=ticket.is_cold)
        go_s = self._cost(ticket, to, self._plan(to, now)).total_s
        return stay_s - go_s - max(_GAIN_S, _GAIN_SHARE * go_s)

    def _plan(self, member: Member, now: float) -> _Plan:
        return _Plan(member.wait_s(self._times, now), member.models, member.free)

    def _cost(self, ticket: Ticket, member: Member, plan: _Plan) -> Cost:
        cold = bool(ticket.needs.models) and not ticket.needs.models <= plan.models
        execute_s = self._times.expected(member.name, ticket.needs.kind, cold=cold)
        total_s = plan.wait_s + execute_s
        if cold and plan.models:
            # The job that comes next for the models that have to go will have to load them again.
            total_s += execute_s - self._times.expected(member.name, ticket.needs.kind)
        total_s += _STRIKE_S * member.breaker.strikes
        return Cost(total_s, execute_s, cold)

    def _best(
        self, options: Sequence[Member], plans: Mapping[InstanceName, _Plan], costs: Mapping[InstanceName, Cost]
    ) -> Member:
        """The cheapest; of equals one with room, then an idle one, then the one that had the least for its weight."""
        limit_s = min(cost.total_s for cost in costs.values()) * (1 + _TIE_SHARE) + _TIE_S
        as_good = [member for member in options if costs[member.name].total_s <= limit_s]
        return min(
            as_good,
            key=lambda member: (plans[member.name].free <= 0, not member.is_idle, member.given / member.weight),
        )


def _may_be_moved(ticket: Ticket) -> bool:
    return (
        ticket.pinned is None
        and ticket.prompt_id is not None
        and not (ticket.has_begun or ticket.leash.recall.is_set())
    )
