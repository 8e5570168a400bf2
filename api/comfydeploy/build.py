"""Puts the target together: client, catalogue, room and what watches it. Takes plain values only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..breaker import Breaker
from ..deploy_errors import DeployError, DeployNotFound, DeployRefused
from ..errors import ComfyUnreachable, TargetRefused
from ..ids import InstanceName, JobId
from ..inputs.addresses import AddressGuard
from ..inputs.download import Downloader
from ..inputs.policy import InputPolicy
from ..jobs.placement import DEPLOY
from ..jobs.request import DeploymentSpec
from ..remote.collect import Collector
from ..remote.prober import Prober
from ..remote.room import Room
from .address import base_url, own_host
from .catalog import Catalog, account_of
from .client import DeployClient
from .inputs import checked
from .kept import KeptFiles
from .news import News, receiver_url
from .plan import Planner, RouteMachine
from .shared import RedisShared
from .target import DeployTarget
from .transport import OnTry, Policy, Transport

_FETCH_S = 600.0
_Found = TypeVar("_Found")
# Looks ask nobody while what is known is fresh.
_PROBE_S = 5.0


def unrouted(_workflow: str, _job_id: str) -> str | None:
    """No rules: every deployment runs where it is bound."""
    return None


class Tries:
    """Tells whoever wants to know of each request to ComfyUI Deploy."""

    def __init__(self) -> None:
        self._listeners: list[OnTry] = []

    def listen(self, listener: OnTry) -> None:
        """From now on tell this one too."""
        self._listeners.append(listener)

    def __call__(self, path: str, status: int, seconds: float) -> None:
        """A request was answered, or was not (status 0)."""
        for listener in self._listeners:
            listener(path, status, seconds)


@dataclass(frozen=True)
class Deploy:
    """ComfyUI Deploy as this worker uses it; a Remote. `capacity` gives no seat before it has answered."""

    target: DeployTarget
    capacity: Room
    prober: Prober
    client: DeployClient
    catalog: Catalog
    planner: Planner
    news: News
    receiver: str | None
    tries: Tries
    name: str = DEPLOY

    def start(self) -> None:
        """Begin to watch it."""
        self.prober.start()

    def facts(self) -> Mapping[str, Any]:
        """`{"name", "kind", "status", "reason"?, "breaker", "slots", "running"}`."""
        return {**self.capacity.facts(), "kind": "comfydeploy"}

    def hand_back_waiting(self) -> None:
        """From now on no seats are given; what runs goes on."""
        self.capacity.hand_back_waiting()

    def close(self) -> None:
        """Stop watching it."""
        self.prober.stop()

    def has_workflow(self, name: str) -> bool:
        """Whether it has one of that name; while nothing can be known of it, no. Asks for seconds at most."""
        try:
            self.catalog.soon().workflow(name)
        except DeployError:
            return False
        return True

    def workflow_name(self, spec: DeploymentSpec) -> str:
        """What the workflow is called that a run is of. Asks for seconds at most. Raises DeployError."""
        return self._looked_up(lambda planner: planner.workflow_name(spec))

    def check(self, spec: DeploymentSpec, job_id: JobId, machine_id: str | None, files: Sequence[str]) -> None:
        """Refuse what could not run: DeployRefused's children, InvalidInput. While it is away nothing is refused.

        `files` are names that inputs may stand for. Asks for seconds at most.
        """
        try:
            plan = self._looked_up(lambda planner: planner.plan(spec, job_id, machine_id))
        except DeployRefused:
            raise
        except DeployError:
            return
        checked(plan.types, spec.inputs, files)

    def _looked_up(self, look: Callable[[Planner], _Found]) -> _Found:
        """What may have been made there just now is asked for once more."""
        planner = self.planner.soon()
        try:
            return look(planner)
        except DeployNotFound:
            if not self.catalog.look_again():
                raise
            return look(planner)

    def machine_trouble(self, machine: str) -> str | None:
        """Why a machine takes no runs now, as far as is known without asking; None when it does."""
        return self.catalog.machine_trouble(machine)


def connect(
    url: str,
    key: str | None,
    *,
    prefix: str = "/api",
    timeout_s: float = 30.0,
    ttl_s: float = 60.0,
    cache_dir: Path | None = None,
    redis_url: str | None = None,
    standard: Callable[[str], str] = str.casefold,
    on_try: OnTry = lambda _path, _status, _seconds: None,
) -> tuple[DeployClient, Catalog]:
    """The client and the catalogue. Connects to nothing yet. Raises InvalidSettings."""
    client = DeployClient(Transport(base_url(url, prefix), key, Policy(timeout_s=timeout_s), on_try))
    account = account_of(client.base_url, key)
    kept = KeptFiles(cache_dir, account) if cache_dir else None
    shared = RedisShared(redis_url, account) if redis_url else None
    return client, Catalog(client, ttl_s, kept=kept, shared=shared, standard=standard)


def build(
    client: DeployClient,
    catalog: Catalog,
    *,
    tries: Tries | None = None,
    webhook_url: str | None = None,
    route: RouteMachine = unrouted,
    max_runs: int = 8,
    poll_s: float = 2.0,
    patience_s: float = 600.0,
    breaker_failures: int = 3,
    breaker_open_s: float = 10.0,
    allow_private: bool = False,
    allowed_hosts: Sequence[str] = (),
    probe_interval_s: float = _PROBE_S,
) -> Deploy:
    """Make it. `allow_private` and `allowed_hosts` say where outputs may be fetched from."""
    name = InstanceName(DEPLOY)
    room = Room(name, max_runs, Breaker(breaker_failures, breaker_open_s))
    news, planner = News(), Planner(catalog, client, route)
    hosts = tuple(filter(None, (*allowed_hosts, own_host(client.base_url))))
    policy = InputPolicy(timeout_s=_FETCH_S, total_timeout_s=_FETCH_S)
    receiver = receiver_url(webhook_url) if webhook_url else None
    target = DeployTarget(
        name,
        client,
        catalog,
        planner,
        news,
        Collector(Downloader(policy, AddressGuard(allow_private, hosts)), max_bytes=2_000_000_000),
        receiver=receiver,
        poll_s=poll_s,
        patience_s=patience_s,
        note_run=room.note_run,
    )
    prober = Prober(room, lambda: _look(catalog), probe_interval_s)
    return Deploy(target, room, prober, client, catalog, planner, news, receiver, tries or Tries())


def _look(catalog: Catalog) -> None:
    """Raise in the words of a remote target when it does not answer, or does not take the key."""
    try:
        catalog.check()
    except DeployRefused as error:
        raise TargetRefused(error.message) from error
    except DeployError as error:
        raise ComfyUnreachable(error.message) from error
