"""The ComfyUIs there are and how each of them is: what probers find, what operators change."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..breaker import Cause, State
from ..comfyui.catalog import Catalog
from ..errors import ComfyUnreachable, InstanceConflict, InstanceNotFound
from ..ids import InstanceName, PromptId
from ..logs import get_logger
from .member import Member
from .needs import Offers

log = get_logger()


class Roster:
    """Safe to share between threads: `changed` is the one lock of the pool, notified whenever something is new."""

    def __init__(self, members: Sequence[Member], clock: Callable[[], float] = time.monotonic) -> None:
        self.changed = threading.Condition()
        self._clock = clock
        self._members = {member.name: member for member in members}
        # Live: whoever holds it sees members come and go.
        self.catalogs: dict[InstanceName, Catalog] = {member.name: member.catalog for member in members}

    @property
    def is_several(self) -> bool:
        """Whether there is a choice."""
        return len(self._members) > 1

    @property
    def members(self) -> Sequence[Member]:
        """All there are, in the order they came."""
        with self.changed:
            return tuple(self._members.values())

    @property
    def takers(self) -> Sequence[Member]:
        """Those that are given jobs now."""
        return [member for member in self.members if member.takes_jobs]

    def find(self, name: str) -> Member | None:
        """The one of that name."""
        with self.changed:
            return self._members.get(InstanceName(name))

    def facts(self) -> list[Mapping[str, Any]]:
        """How each of them is."""
        with self.changed:
            return [member.facts() for member in self._members.values()]

    def troubles(self) -> list[str]:
        """Why those that are not healthy are not."""
        with self.changed:
            return [self._told(member) for member in self._members.values() if not member.is_healthy]

    def labels(self) -> set[str]:
        """Those that ComfyUIs have now."""
        with self.changed:
            return {member.label for member in self._members.values() if member.label}

    def trouble(self, label: str | None = None) -> str | None:
        """Why no job is started, or none of those that ask for the label; None when they are."""
        with self.changed:
            meant = [member for member in self._members.values() if label is None or member.goes_by(label)]
            if any(member.takes_jobs for member in meant):
                return None
            if not meant:
                which = f"with the label {label}" if label else ""
                return f"There is no ComfyUI{which and ' '}{which}; add one with POST /admin/instances."
            return " ".join(map(self._told, meant))

    def _told(self, member: Member) -> str:
        return f"{member.name}: {member.state}" if self.is_several else member.state

    # --- what operators change ---

    def add(self, member: Member) -> None:
        """One more. Raises InstanceConflict when one of that name is there."""
        with self.changed:
            if member.name in self._members:
                raise InstanceConflict(f"The ComfyUI {member.name} is there already.")
            self._members[member.name] = member
            self.catalogs[member.name] = member.catalog

    def drain(self, name: str, *, draining: bool = True) -> Mapping[str, Any]:
        """Give it no more jobs, or jobs again; what executes there goes on. Raises InstanceNotFound."""
        with self.changed:
            member = self._known(name)
            member.is_draining = draining
            self.changed.notify_all()
            return member.facts()

    def remove(self, name: str, *, force: bool = False) -> Member:
        """It belongs to the pool no longer. Raises InstanceNotFound; InstanceConflict while it has jobs."""
        with self.changed:
            member = self._known(name)
            if member.tickets and not force:
                raise InstanceConflict(
                    f"The ComfyUI {name} has {len(member.tickets)} jobs: drain it and wait, or remove it with force."
                )
            member.is_removed = True
            lost = list(member.tickets)
            member.orphans |= {ticket.prompt_id for ticket in lost if ticket.prompt_id is not None}
            del self._members[member.name]
            self.catalogs.pop(member.name, None)
            self.changed.notify_all()
        for ticket in lost:
            ticket.leash.give_up(ComfyUnreachable(f"The ComfyUI {name} was removed."))
        return member

    def _known(self, name: str) -> Member:
        member = self._members.get(InstanceName(name))
        if member is None:
            known = ", ".join(self._members) or "none"
            raise InstanceNotFound(f"There is no ComfyUI {name[:100]}; there are: {known}.")
        return member

    # --- what the probers find ---

    def note_ready(self, member: Member, offers: Offers | None, *, anew: bool) -> None:
        """It has shown that it works. `anew`: it is another process than before."""
        with self.changed:
            if anew:
                member.models = frozenset()
            if not member.is_ready:
                shares = [other.given / other.weight for other in self._members.values() if other.is_ready]
                member.given = max(member.given, int(min(shares, default=0) * member.weight))
            member.offers = offers if self.is_several else None
            member.is_ready, member.trouble = True, None
            member.breaker.close()
            member.idle_since = self._clock()
            self.changed.notify_all()

    def note_unready(self, member: Member, reason: str | None = None) -> None:
        """It has to show again that it works."""
        with self.changed:
            member.is_ready = False
            member.trouble = reason or member.trouble
            self.changed.notify_all()

    def note_trial(self, member: Member) -> None:
        """It answers again and is to show that it works."""
        with self.changed:
            if member.breaker.state is State.OPEN:
                member.breaker.begin_trial()

    def note_failed_trial(self, member: Member, reason: str) -> None:
        """It did not show it."""
        with self.changed:
            member.trouble = reason
            if member.breaker.state is State.HALF_OPEN:
                member.breaker.reopen(reason)
            self.changed.notify_all()

    def note_answer(self, member: Member, queue_remaining: int | None) -> None:
        """A look at it went well."""
        with self.changed:
            member.breaker.succeed(Cause.PROBE)
            if queue_remaining is not None:
                member.queue_remaining = queue_remaining

    def note_miss(self, member: Member, reason: str) -> None:
        """A look at it failed."""
        with self.changed:
            if member.breaker.fail(Cause.PROBE, reason):
                member.is_ready, member.trouble = False, reason
                log.warning("ComfyUI is not usable, jobs wait", instance=member.name, reason=reason)
            self.changed.notify_all()

    def take_orphans(self, member: Member) -> set[PromptId]:
        """The prompts nobody waits for any more; it is to forget them. Not those that a job has come back to."""
        with self.changed:
            followed = {ticket.prompt_id for ticket in member.tickets if not ticket.leash.is_given_up()}
            orphans = {prompt_id for prompt_id in member.orphans if prompt_id not in followed}
            member.orphans -= orphans
            return orphans

    def note_orphan(self, member: Member, prompt_id: PromptId) -> None:
        """The job of that prompt runs elsewhere, or has ended."""
        with self.changed:
            member.orphans.add(prompt_id)

    def note_offers(self, member: Member, offers: Offers) -> None:
        """What it has now."""
        with self.changed:
            member.offers = offers
            self.changed.notify_all()
