"""One job on its way through the pool: what it needs, where it may go, where it is."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import Detail
from ..ids import InstanceName, PromptId
from ..jobs.cancel import CancelToken
from .leash import Leash
from .needs import Needs, Offers

if TYPE_CHECKING:
    from .member import Member

_NUMBERS = itertools.count()


class Ticket:
    """Under the pool's lock, but for `leash` and what the job's own thread asks. Each placement has a new leash.

    `pinned` is the one ComfyUI it goes to, whatever that one's state; `label` is that of those it may go to, and
    `avoid` those it shall not go to again.
    """

    def __init__(
        self, needs: Needs, cancel: CancelToken, pinned: "Member | None" = None, *, label: str | None = None
    ) -> None:
        self.number = next(_NUMBERS)
        self.needs = needs
        self.cancel = cancel
        self.pinned = pinned
        self.label = label
        self.avoid: set[InstanceName] = set()
        self._lacks: dict[InstanceName, tuple[Offers, Sequence[Detail]]] = {}
        self.member: Member | None = None
        self.leash = Leash(cancel)
        self.is_cold = False
        self.prompt_id: PromptId | None = None
        self.began_at: float | None = None
        self.execute_s: float | None = None

    @property
    def has_begun(self) -> bool:
        """Whether its prompt was seen to execute."""
        return self.began_at is not None

    def place(self, member: "Member", *, cold: bool) -> None:
        """It goes there."""
        self.member, self.is_cold = member, cold
        self.leash = Leash(self.cancel)
        self.prompt_id = self.began_at = self.execute_s = None
        self.pinned = None

    def unplace(self) -> None:
        """It is nowhere, and may be placed again."""
        self.member = None

    def may_run_on(self, member: "Member") -> bool:
        """Whether that ComfyUI is one of those it is for, and has all it needs as far as is known."""
        return self.is_for(member) and member.name not in self.avoid and not self.lacks(member)

    def is_for(self, member: "Member") -> bool:
        """Whether that ComfyUI has the label it asks for, if it does."""
        return self.label is None or member.goes_by(self.label)

    def lacks(self, member: "Member") -> Sequence[Detail]:
        """What is missing there; nothing where what is there is not known."""
        offers = member.offers
        if offers is None:
            return ()
        known = self._lacks.get(member.name)
        if known is None or known[0] is not offers:
            known = self._lacks[member.name] = (offers, offers.lacks(self.needs))
        return known[1]
