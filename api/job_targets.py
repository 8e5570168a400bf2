"""Where jobs run: this worker's own ComfyUIs and the remote targets, each with a dispatcher of its own."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .ids import InstanceName, JobId
from .jobs.dispatcher import Core, Dispatcher
from .jobs.estimate import Estimates, Slots
from .jobs.job import ACTIVE, Job
from .jobs.measured import Live, Phase
from .jobs.overflow import Overflow
from .jobs.placement import LOCAL
from .jobs.ports import Capacity
from .jobs.store import JobStore
from .pool.roster import Roster
from .remotes import Remote, trouble_of
from .settings import Settings
from .wiring import Services

# Makes the dispatcher of a target.
MakeDispatcher = Callable[[str, Core, Capacity], Dispatcher]


@dataclass(frozen=True)
class JobTargets:
    """`dispatchers` by target, `local` first; `remotes` are the targets that are none of this worker's ComfyUIs."""

    dispatchers: Mapping[str, Dispatcher]
    remotes: Mapping[str, Remote]

    @property
    def local(self) -> Dispatcher:
        """That of the worker's own ComfyUIs."""
        return self.dispatchers[LOCAL]

    @property
    def concurrency(self) -> int:
        """How many jobs are in hand at most."""
        return sum(dispatcher.concurrency for dispatcher in self.dispatchers.values())

    def watch(self) -> None:
        """Begin to watch the remote targets; they get no jobs yet."""
        for remote in self.remotes.values():
            remote.start()

    def start(self) -> None:
        """Begin to take jobs."""
        for dispatcher in self.dispatchers.values():
            dispatcher.start()

    def drain(self, grace_s: float) -> bool:
        """Take no more jobs and give those that run so long to finish. False when some were handed back."""
        for remote in self.remotes.values():
            remote.hand_back_waiting()
        with ThreadPoolExecutor(len(self.dispatchers), "drain") as threads:
            list(threads.map(lambda dispatcher: dispatcher.drain(grace_s), self.dispatchers.values()))
        return not any(dispatcher.running() for dispatcher in self.dispatchers.values())

    def close(self) -> None:
        """Let go of the remote targets; after `drain`."""
        for remote in self.remotes.values():
            remote.close()

    def live(self) -> Mapping[JobId, Live]:
        """The runs of this process as they stand."""
        return {job: live for dispatcher in self.dispatchers.values() for job, live in dispatcher.live().items()}

    def facts(self) -> list[Mapping[str, Any]]:
        """How each remote target is."""
        return [remote.facts() for remote in self.remotes.values()]

    def troubles(self) -> list[str]:
        """Why those that are not healthy are not."""
        found = {name: trouble_of(remote) for name, remote in self.remotes.items()}
        return [f"{name}: {trouble}" for name, trouble in found.items() if trouble]

    def obstacle(self, job: Job, roster: Roster) -> str | None:
        """Why a job that waits is not begun, or one that has begun gets no further; None when nothing is in its way."""
        dispatcher = self.dispatchers.get(job.target)
        if dispatcher and (lack := dispatcher.obstacle(job)):
            return lack
        if job.status in ACTIVE:
            return self._delay(job, roster)
        if job.target == LOCAL:
            trouble = roster.trouble(job.label)
            return f"No ComfyUI can take it: {trouble}" if trouble else None
        if job.target not in self.remotes:
            return f"It is to run on {job.target}, which this worker is no longer told of (setting REMOTE_TARGETS)."
        trouble = trouble_of(self.remotes[job.target])
        return f"It is to run on {job.target}, which takes no jobs now: {trouble}" if trouble else None

    def _delay(self, job: Job, roster: Roster) -> str | None:
        live = self.live().get(job.id)
        if live is None or live.instance is None or live.phase is Phase.AFTER:
            return None
        member = roster.find(live.instance)
        if member is not None and not member.is_healthy:
            return f"It was begun on ComfyUI at {live.instance}, which cannot be used now: {member.state}"
        if live.phase is Phase.BEFORE:
            return f"It is in the queue of ComfyUI at {live.instance}, which runs what came before it."
        return None

    def slots(self, roster: Roster) -> dict[str, Slots]:
        """What executes the jobs of each target now. Those of remote ones have no names, so numbers do."""
        here = {member.name: member.label for member in roster.takers}
        found: dict[str, Slots] = {LOCAL: here}
        for name, remote in self.remotes.items():
            count = 0 if trouble_of(remote) else remote.capacity.most()
            found[name] = {InstanceName(f"{name} {number}"): "" for number in range(count)}
        return found


def build_targets(core: Services, remotes: Mapping[str, Remote], make: MakeDispatcher) -> JobTargets:
    """Make the dispatchers: one handler for all of them, each over its target. Starts no thread."""
    dispatchers = {LOCAL: make(LOCAL, core.handler, core.comfy.pool)}
    for name, remote in remotes.items():
        dispatchers[name] = make(name, core.handler.on(remote.target), remote.capacity)
    return JobTargets(dispatchers, remotes)


def build_overflow(
    settings: Settings, store: JobStore, estimates: Estimates, targets: JobTargets, roster: Roster
) -> Overflow | None:
    """What sends jobs to OVERFLOW_TARGET; None without one."""
    if settings.overflow_target is None:
        return None
    remote = targets.remotes[settings.overflow_target]
    return Overflow(
        store=store,
        target=settings.overflow_target,
        after_s=settings.overflow_after_s,
        wait_s=estimates.wait_s,
        usable=lambda: bool(roster.takers),
        room=targets.dispatchers[settings.overflow_target].room,
        is_well=lambda: trouble_of(remote) is None,
    )
