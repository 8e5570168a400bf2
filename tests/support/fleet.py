"""ComfyUIs of a pool that nobody talks to, and jobs for them, for tests of who gets what."""

from pathlib import Path
from typing import Any

from api.breaker import Breaker
from api.comfyui.catalog import Catalog
from api.comfyui.client import ComfyClient
from api.comfyui.limits import RunLimits
from api.comfyui.process import ComfyProcess
from api.comfyui.stream import ComfyStream
from api.ids import InstanceName, PromptId
from api.jobs.cancel import CancelToken
from api.pool.balancer import Balancer
from api.pool.cleanup import Cleaner
from api.pool.instance import Instance, StartPatience
from api.pool.member import Member
from api.pool.needs import Needs, needs_of
from api.pool.target import ComfyTarget
from api.pool.ticket import Ticket
from api.pool.times import Times

NOW = 1000.0
PATIENT = 8


class Fleet:
    """ComfyUIs nobody talks to."""

    def __init__(self, folder: Path) -> None:
        self.times = Times()
        self.balancer = Balancer(self.times)
        self.members: list[Member] = []
        self._folder = folder

    def add(self, name: str, slots: int = 2, **options: Any) -> Member:
        url = f"http://{name}" if ":" in name else f"http://{name}:1"
        client = ComfyClient(url)
        patience = StartPatience(1, 1, 1)
        instance = Instance(
            InstanceName(name), client, ComfyStream(url, name), ComfyProcess.in_dir(self._folder), patience
        )
        cleaner = Cleaner(client, None)
        target = ComfyTarget(instance, cleaner, RunLimits(), 1)
        member = Member(instance, target, cleaner, Catalog(client), Breaker(3, 10), slots=slots, **options)
        member.is_ready = True
        self.members.append(member)
        return member

    def took(self, member: Member, seconds: float, job: Needs, *, cold: bool = False) -> None:
        self.times.note(member.name, job.kind, seconds, cold=cold)

    def assign(self, *tickets: Ticket, patient: int = PATIENT) -> dict[Ticket, str]:
        """Where each goes now; those missing wait."""
        found = self.balancer.assign(tickets, self.members, NOW, patient)
        return {ticket: member.name for ticket, member, _cost in found}

    def moves(self) -> list[Ticket]:
        return list(self.balancer.moves(self.members, NOW))

    def close(self) -> None:
        for member in self.members:
            member.cleaner.close()
            member.instance.close()


def job(model: str | None = None) -> Needs:
    inputs = {"ckpt_name": model} if model else {}
    return needs_of({"1": {"class_type": "Load", "inputs": inputs}})


def ticket(needs: Needs | None = None) -> Ticket:
    return Ticket(needs or job(), CancelToken())


def put(member: Member, needs: Needs | None = None, *, begun: float | None = None) -> Ticket:
    """A job that is there; it executes since `begun`, or waits inside."""
    there = ticket(needs)
    there.place(member, cold=False)
    there.prompt_id = PromptId(str(there.number))
    there.began_at = begun
    member.tickets.append(there)
    member.models = there.needs.models or member.models
    return there
