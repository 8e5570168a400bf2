"""The threads that keep the pool going, and members that come and go while it does."""

import threading
from collections.abc import Callable

from ..comfy_address import ComfyAddress, parse_address
from ..errors import Detail, InvalidInput
from ..logs import get_logger
from .member import Member
from .pool import Pool
from .prober import Prober, WarmUp
from .roster import Roster

_BALANCE_EVERY_S = 0.1
_IDLE_S = 1.0

log = get_logger()


class Crew:
    """`make_member` and `make_prober` know how; changes made here last until the process ends."""

    def __init__(
        self,
        roster: Roster,
        pool: Pool,
        make_member: Callable[[ComfyAddress], Member],
        make_prober: Callable[[Member, WarmUp], Prober],
    ) -> None:
        self._roster = roster
        self._pool = pool
        self._make_member = make_member
        self._make_prober = make_prober
        self._warm_up: WarmUp = lambda _member: None
        self._lock = threading.Lock()
        # By member: one that is removed may come back under its name before the other has gone.
        self._probers: dict[Member, Prober] = {}
        self._has_begun = False
        self._stopping = threading.Event()
        self._balancing = threading.Thread(target=self._balance, name="balancer", daemon=True)

    def start(self, warm_up: WarmUp) -> None:
        """Begin to probe and to balance; each ComfyUI is warmed up before it gets jobs. At once; again is no harm."""
        with self._lock:
            if self._has_begun:
                return
            self._has_begun = True
        self._warm_up = warm_up
        for member in self._roster.members:
            self._watch(member)
        self._balancing.start()

    def stop(self) -> None:
        """End the threads; the members stay as they are."""
        self._stopping.set()
        with self._lock:
            probers = list(self._probers.values())
        for prober in probers:
            prober.stop()
        if self._balancing.is_alive():
            self._balancing.join(timeout=5)

    def wait_usable(self, timeout_s: float) -> bool:
        """Whether some ComfyUI takes jobs within so many seconds."""
        with self._roster.changed:
            return self._roster.changed.wait_for(lambda: bool(self._roster.takers), timeout_s)

    def add(self, address: str, *, use_ssl: bool = False) -> Member:
        """One more, by an address as in COMFY_HOST. Raises InvalidInput, InstanceConflict."""
        try:
            parsed = parse_address(address, use_ssl=use_ssl)
        except ValueError as error:
            message = f"{error}."
            raise InvalidInput(message, [Detail(field="address", message=message, code="invalid_address")]) from None
        member = self._make_member(parsed)
        try:
            self._roster.add(member)
        except BaseException:
            _let_go(member)
            raise
        log.info("ComfyUI added", instance=member.name)
        self._watch(member)
        return member

    def remove(self, name: str, *, force: bool = False) -> None:
        """One less. Raises InstanceNotFound; InstanceConflict while it has jobs and there is no `force`."""
        member = self._roster.remove(name, force=force)
        log.info("ComfyUI removed", instance=member.name)
        threading.Thread(target=self._let_go, args=(member,), name=f"farewell-{name}", daemon=True).start()

    def _watch(self, member: Member) -> None:
        with self._lock:
            prober = self._probers[member] = self._make_prober(member, self._warm_up)
        prober.start()

    def _let_go(self, member: Member) -> None:
        with self._lock:
            prober = self._probers.pop(member, None)
        if prober is not None:
            prober.part()
        # Outputs of its last jobs may still be on their way here.
        while member.users and not self._stopping.wait(_IDLE_S):
            pass
        _let_go(member)

    def _balance(self) -> None:
        while not self._stopping.wait(_BALANCE_EVERY_S):
            self._pool.await_change(_IDLE_S)
            self._pool.rebalance()


def _let_go(member: Member) -> None:
    member.cleaner.close()
    member.instance.close()
