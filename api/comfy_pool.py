"""Settings → the pool of ComfyUIs with all that belongs to each of them."""

import socket
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from .breaker import Breaker
from .comfy_address import ComfyAddress
from .comfyui.catalog import Catalog
from .comfyui.client import ComfyClient
from .comfyui.limits import RunLimits
from .comfyui.process import ComfyProcess
from .comfyui.stream import ComfyStream
from .ids import InstanceName
from .pool.cleanup import Cleaner
from .pool.crew import Crew
from .pool.instance import Instance, StartPatience
from .pool.member import Member
from .pool.pool import Pool
from .pool.pool_target import PoolTarget
from .pool.prober import Prober, WarmUp
from .pool.roster import Roster
from .pool.target import ComfyTarget
from .settings import Settings

_PROBE_TIMEOUT_S = 10.0
# For a canary: one that does not run at once is no sign of health.
_CANARY_PATIENCE_S = 3.0


@dataclass(frozen=True)
class ComfyPool:
    """The pool, who is in it, what jobs see of it, and the threads that keep it going once they are started."""

    roster: Roster
    pool: Pool
    target: PoolTarget
    crew: Crew

    def close(self) -> None:
        """Finish clean-ups that are under way, then stop the threads and close the sockets."""
        self.crew.stop()
        for member in self.roster.members:
            member.cleaner.close()
            member.instance.close()


def build_pool(settings: Settings, runs_per_job: int) -> ComfyPool:
    """Make the pool of COMFY_HOST. Connects to nothing yet."""
    addresses = settings.comfy_addresses
    maker = _Maker(settings, runs_per_job)
    members = [maker.member(address, is_sole=len(addresses) == 1) for address in addresses]
    roster = Roster(members)
    pool = Pool(
        roster,
        max_jobs=settings.max_concurrent_jobs or settings.worker_concurrency,
        patience_s=settings.comfy_unreachable_grace_s,
    )
    return ComfyPool(
        roster,
        pool,
        PoolTarget(pool, roster, runs_per_job),
        Crew(roster, pool, maker.member, lambda member, warm_up: maker.prober(roster, member, warm_up)),
    )


class _Maker:
    """Makes members and what watches them, as the settings say."""

    def __init__(self, settings: Settings, runs_per_job: int) -> None:
        self._settings = settings
        self._runs_per_job = runs_per_job
        self._limits = _run_limits(settings)

    def member(self, address: ComfyAddress, *, is_sole: bool = False) -> Member:
        """One ComfyUI. Of several started on this machine each has a run folder of its own, named by its port."""
        settings, limits = self._settings, self._limits
        if not is_sole:
            # What its probes do not see, a job need not wait for: another ComfyUI takes it.
            noticed_s = settings.comfy_breaker_failures * settings.comfy_probe_timeout_s
            limits = replace(limits, outage_grace_s=min(limits.outage_grace_s, noticed_s))
        run_dir = settings.comfy_run_dir if is_sole else settings.comfy_run_dir / str(address.port)
        instance = self._instance(address, run_dir)
        # start.sh gives each of several a folder of previews there.
        temp = None if is_sole or not run_dir.is_dir() else run_dir / "temp"
        cleaner = Cleaner(instance.client, _visible_root(settings, address), temp)
        return Member(
            instance,
            ComfyTarget(instance, cleaner, limits, self._runs_per_job),
            cleaner,
            Catalog(instance.client),
            Breaker(settings.comfy_breaker_failures, settings.comfy_breaker_open_s),
            slots=settings.max_jobs_per_instance,
            label=address.label,
            weight=address.weight,
        )

    def prober(self, roster: Roster, member: Member, warm_up: WarmUp) -> Prober:
        """What watches it."""
        settings = self._settings
        timeout_s = settings.comfy_probe_timeout_s
        client = ComfyClient(
            member.instance.client.base_url, connect_timeout_s=min(timeout_s, 5.0), read_timeout_s=timeout_s
        )

        def canary() -> bool:
            # It is also the mark by which a restart is told from a socket that dropped.
            wanted = settings.comfy_canary
            return roster.is_several or settings.warmup_workflow is not None if wanted is None else wanted

        return Prober(
            roster,
            member,
            client,
            interval_s=probe_interval_s(settings),
            canary=canary,
            limits=replace(self._limits, outage_grace_s=_CANARY_PATIENCE_S, stop_grace_s=_CANARY_PATIENCE_S),
            warm_up=warm_up,
        )

    def _instance(self, address: ComfyAddress, run_dir: Path) -> Instance:
        settings = self._settings
        attempts, first_delay_s, longest_delay_s = reconnection(settings)
        return Instance(
            InstanceName(address.name),
            ComfyClient(
                address.url,
                read_timeout_s=settings.comfy_read_timeout_s,
                pool_size=settings.max_connections_per_instance,
            ),
            # One client id per process: a second socket under the same id would take all events.
            ComfyStream(
                address.url,
                f"worker-{socket.gethostname()}-{uuid.uuid4().hex}",
                reconnect_attempts=attempts,
                first_delay_s=first_delay_s,
                reconnect_delay_s=longest_delay_s,
                trace=settings.websocket_trace,
                name=address.name,
            ),
            ComfyProcess.in_dir(run_dir, quote_log=settings.error_log_tail),
            StartPatience(
                settings.comfy_api_available_interval_ms / 1000,
                settings.comfy_api_available_max_retries,
                settings.comfy_start_timeout_s,
            ),
        )


def probe_interval_s(settings: Settings) -> float:
    """COMFY_HEALTH_INTERVAL_S bounds it; where only that is set, it is that."""
    given = settings.model_fields_set
    if "comfy_health_interval_s" in given and "comfy_probe_interval_s" not in given:
        return settings.comfy_health_interval_s
    return min(settings.comfy_probe_interval_s, settings.comfy_health_interval_s)


def reconnection(settings: Settings) -> tuple[int, float, float]:
    """Attempts, first and longest pause of the socket. Its own settings go before those of /api/comfy."""
    given = settings.model_fields_set
    attempts, longest_s = settings.comfy_reconnect_max_attempts, settings.comfy_reconnect_max_delay_s
    if "websocket_reconnect_attempts" in given:
        attempts = settings.websocket_reconnect_attempts
    if "websocket_reconnect_delay_s" in given or "comfy_reconnect_max_delay_s" not in given:
        longest_s = settings.websocket_reconnect_delay_s
    return attempts, min(settings.comfy_reconnect_base_delay_s, longest_s), longest_s


def _run_limits(settings: Settings) -> RunLimits:
    return RunLimits(
        probe_timeout_s=min(_PROBE_TIMEOUT_S, settings.comfy_read_timeout_s),
        outage_grace_s=settings.comfy_unreachable_grace_s,
        stall_s=settings.comfy_stall_s,
        silence_limit_s=settings.comfy_silence_limit_s,
        stop_grace_s=settings.comfy_cancel_grace_s,
    )


def _visible_root(settings: Settings, address: ComfyAddress) -> Path | None:
    """ComfyUI's folder, when it is that of the ComfyUI jobs run on: one elsewhere keeps its files."""
    return settings.comfy_root if address.is_local and (settings.comfy_root / "output").is_dir() else None
