"""Puts a remote target together: its client, the room it has, and what watches it. Takes plain values only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from ..breaker import Breaker
from ..errors import InvalidSettings
from ..ids import InstanceName
from ..inputs.addresses import AddressGuard
from ..inputs.download import Downloader
from ..inputs.policy import InputPolicy
from ..jobs.ports import Capacity, Target
from .attach import Share
from .collect import Collector
from .endpoint import Endpoint, Place
from .prober import Prober
from .room import Room
from .runpod import RunPodTarget
from .runpod_api import RunPodApi
from .salad import SaladTarget
from .salad_api import SaladApi

Kind = Literal["runpod", "salad"]
# Salad's gateway wants the key in a header of its own.
_SALAD_KEY = "Salad-Api-Key"
_FETCH_S = 600.0
# Status requests and probes come beside the jobs' own.
_MORE_CONNECTIONS = 4


@dataclass(frozen=True)
class RemoteTarget:
    """One remote endpoint. `capacity` gives no seat before `start` was called and the endpoint has answered."""

    name: str
    kind: Kind
    target: Target
    capacity: Capacity
    room: Room
    prober: Prober
    endpoint: Endpoint

    def start(self) -> None:
        """Begin to watch the endpoint."""
        self.prober.start()

    def facts(self) -> Mapping[str, Any]:
        """`{"name", "kind", "status", "reason"?, "breaker", "slots", "running"}` for /health and operators."""
        return {**self.room.facts(), "kind": self.kind}

    def hand_back_waiting(self) -> None:
        """From now on no seats are given; what runs goes on."""
        self.room.hand_back_waiting()

    def close(self) -> None:
        """Stop watching and close the connections."""
        self.prober.stop()
        self.endpoint.close()


def build(
    kind: Kind,
    *,
    name: str,
    url: str,
    api_key: str | None = None,
    max_jobs: int = 4,
    headers: Mapping[str, str] | None = None,
    share: Share | None = None,
    allow_private: bool = False,
    allowed_hosts: Sequence[str] = (),
    max_output_bytes: int = 2_000_000_000,
    patience_s: float = 60.0,
    breaker_failures: int = 3,
    breaker_open_s: float = 10.0,
    probe_interval_s: float = 15.0,
    settings: tuple[str, str] = ("its URL", "its API key"),
) -> RemoteTarget:
    """Make it; connects to nothing yet. Raises InvalidSettings for a URL that cannot be used.

    `url`: `https://api.runpod.ai/v2/<id>`, or the root of a comfyui-api. `api_key` goes as a bearer token to RunPod, as
    Salad-Api-Key to Salad; `headers` are sent beside it. `share` puts input files that are too large for a request
    where the endpoint can read them. `allow_private` and `allowed_hosts` say where outputs may be fetched from (the
    endpoint's own host always). `patience_s`: how long the endpoint may be away during a job. `settings` names the
    settings that hold the URL and the key, for error texts.
    """
    given = dict(headers or {})
    if kind == "salad" and api_key:
        given, api_key = {_SALAD_KEY: api_key, **given}, None
    place = Place(InstanceName(name), url, api_key, given, settings)
    endpoint = Endpoint(place, connections=2 * max_jobs + _MORE_CONNECTIONS, patience_s=patience_s)
    room = Room(place.name, max_jobs, Breaker(breaker_failures, breaker_open_s))
    policy = InputPolicy(timeout_s=_FETCH_S, total_timeout_s=_FETCH_S)
    guard = AddressGuard(allow_private, (*allowed_hosts, _own_host(url)))
    collector = Collector(Downloader(policy, guard), max_output_bytes)
    target, look = _target(kind, endpoint, room, collector, share, patience_s)
    return RemoteTarget(name, kind, target, room, room, Prober(room, look, probe_interval_s), endpoint)


def _target(
    kind: Kind, endpoint: Endpoint, room: Room, collector: Collector, share: Share | None, patience_s: float
) -> tuple[Target, Callable[[], None]]:
    """The target, and the look at its endpoint."""
    match kind:
        case "runpod":
            runpod = RunPodApi(endpoint)
            return RunPodTarget(runpod, room, collector, share), runpod.look
        case "salad":
            salad = SaladApi(endpoint)
            return SaladTarget(salad, room, collector, share, patience_s=patience_s), salad.look
    raise InvalidSettings(f"{kind!r} is no kind of remote target; there are runpod and salad.")


def _own_host(url: str) -> str:
    """host:port of a URL that was checked."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
