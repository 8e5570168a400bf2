"""One ComfyUI of the pool, with all that the pool knows of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..breaker import Breaker, State
from ..comfyui.catalog import Catalog
from ..ids import PromptId
from .cleanup import Cleaner
from .gpu_type import PREFIX, is_of_type
from .instance import Instance
from .needs import Offers
from .target import ComfyTarget
from .ticket import Ticket
from .times import Times

# A run that takes longer than expected is not about to end: by so much of its age it is taken to go on.
_OVERDUE_SHARE = 0.1


class Member:
    """Changed under the pool's lock only. `tickets` are the jobs that wait or execute there, in order.

    `models` are those the last prompt needed that needed any: most likely they are still loaded.
    """

    def __init__(
        self,
        instance: Instance,
        target: ComfyTarget,
        cleaner: Cleaner,
        catalog: Catalog,
        breaker: Breaker,
        *,
        slots: int,
        label: str = "",
        weight: float = 1.0,
    ) -> None:
        self.instance = instance
        self.name = instance.name
        self.target = target
        self.cleaner = cleaner
        self.catalog = catalog
        self.breaker = breaker
        self.slots = slots
        self.label = label
        self.weight = weight
        self.tickets: list[Ticket] = []
        self.models: frozenset[str] = frozenset()
        self.offers: Offers | None = None
        self.orphans: set[PromptId] = set()
        self.is_ready = False
        self.is_draining = False
        self.is_removed = False
        self.trouble: str | None = f"ComfyUI at {self.name} has not answered yet."
        self.queue_remaining: int | None = None
        # Jobs that have anything to do with it: also those whose outputs are being fetched.
        self.users = 0
        self.given = 0
        self.idle_since = 0.0

    def goes_by(self, label: str) -> bool:
        """Whether it is meant by that label, or by its name, both in small letters; `gpu:…` is a type of GPU."""
        if not label.startswith(PREFIX):
            return label in {self.label.lower(), self.name.lower()}
        gpu_type = label.removeprefix(PREFIX)
        return is_of_type(gpu_type, self.label) or is_of_type(gpu_type, self.instance.device)

    @property
    def takes_jobs(self) -> bool:
        """Whether it is healthy and shall be given any."""
        return self.is_healthy and not (self.is_draining or self.is_removed)

    @property
    def is_healthy(self) -> bool:
        """Whether a job given now would run."""
        return self.is_ready and self.breaker.state is State.CLOSED

    @property
    def free(self) -> int:
        """How many more jobs it may be given."""
        return max(0, self.slots - len(self.tickets))

    @property
    def foreign(self) -> int:
        """Prompts of others in its queue, as far as it has told."""
        remaining = self.instance.stream.queue_remaining
        remaining = self.queue_remaining if remaining is None else remaining
        return max(0, (remaining or 0) - sum(ticket.prompt_id is not None for ticket in self.tickets))

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be done there."""
        return not self.tickets and not self.foreign

    @property
    def state(self) -> str:
        """In a sentence."""
        if not self.is_healthy:
            return self.trouble or "It has to show that it works."
        if self.is_draining:
            return "It is being drained."
        return f"It has {len(self.tickets)} of {self.slots} jobs." if self.tickets else "It is free."

    def wait_s(self, times: Times, now: float, before: Ticket | None = None) -> float:
        """Seconds until the next job there would begin, or until `before` does."""
        wait_s = self.foreign * times.mean(self.name)
        for ticket in self.tickets:
            if ticket is before:
                break
            wait_s += self._left_s(ticket, times, now)
        return wait_s

    def facts(self) -> Mapping[str, Any]:
        """For /health and operators."""
        return dict(self._facts())

    def _facts(self) -> Iterator[tuple[str, Any]]:
        yield "name", self.name
        yield "status", self._status()
        if self.trouble and not self.is_healthy:
            yield "reason", self.trouble
        if self.label:
            yield "label", self.label
        yield "weight", self.weight
        yield "breaker", self.breaker.state.value
        yield "slots", self.slots
        yield "running", sum(ticket.has_begun for ticket in self.tickets)
        yield "waiting", sum(not ticket.has_begun for ticket in self.tickets)
        yield "foreign_prompts", self.foreign
        yield "models", sorted(self.models)

    def _status(self) -> str:
        if self.is_draining:
            return "draining"
        return "healthy" if self.is_healthy else "unhealthy"

    def _left_s(self, ticket: Ticket, times: Times, now: float) -> float:
        expected_s = times.expected(self.name, ticket.needs.kind, cold=ticket.is_cold)
        if ticket.began_at is None:
            return expected_s
        executing_s = now - ticket.began_at
        return max(expected_s - executing_s, _OVERDUE_SHARE * executing_s)
