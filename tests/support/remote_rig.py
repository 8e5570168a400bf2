"""Jobs that run elsewhere: a worker in this process around a stand-in, and one as a process that is the endpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from support import sample_jobs
from support.api_process import ApiProcess
from support.remote_front import RemoteFront
from support.standin_process import StandinProcess

from api import wiring
from api.breaker import Breaker
from api.ids import InstanceName
from api.inputs.addresses import AddressGuard
from api.inputs.download import Downloader
from api.inputs.policy import InputPolicy
from api.jobs.cancel import CancelToken
from api.jobs.events import JobEvent
from api.jobs.ports import Host, Target
from api.remote.build import RemoteTarget, build
from api.remote.collect import Collector
from api.remote.endpoint import Endpoint, Place
from api.remote.room import Room
from api.remote.runpod import RunPodTarget
from api.remote.runpod_api import RunPodApi
from api.settings import Settings

KEY = "remote-key-never-shown"


@dataclass
class Elsewhere:
    """A worker that runs jobs here (`local`) or on the endpoint behind the front (`run`)."""

    services: wiring.Services
    front: RemoteFront
    api: ApiProcess
    standin: StandinProcess
    events: list[JobEvent] = field(default_factory=list)

    def target(self, **options: Any) -> RemoteTarget:
        given = {"name": "gpu-farm", "url": f"{self.front.url}/v2/worker", "api_key": KEY, "patience_s": 2.0}
        return build("runpod", **{**given, **options})

    def bare(self, *, max_bytes: int = 1_000_000, patience_s: float = 2.0, **options: Any) -> RunPodTarget:
        """The target alone, with limits that a test can reach."""
        place = Place(InstanceName("gpu-farm"), f"{self.front.url}/v2/worker", KEY)
        endpoint = Endpoint(place, connections=4, patience_s=patience_s)
        guard = AddressGuard(False, [self.front.url.removeprefix("http://")])
        collector = Collector(Downloader(InputPolicy(attempts=1), guard), max_bytes)
        return RunPodTarget(RunPodApi(endpoint), Room(place.name, 4, Breaker(3, 10)), collector, **options)

    def state(self, remote_id: str) -> str:
        """What the endpoint says of a job."""
        url = f"{self.api.url}/v2/worker/status/{remote_id}"
        body: dict[str, Any] = requests.get(url, headers={"Authorization": f"Bearer {KEY}"}, timeout=10).json()
        return str(body["status"])

    def jobs_there(self) -> int:
        """How many jobs the endpoint has had."""
        answer = requests.get(f"{self.api.url}/stats", headers={"Authorization": f"Bearer {KEY}"}, timeout=10)
        return int(answer.json()["total_jobs"])

    def local(self, workflow: sample_jobs.Workflow, **options: Any) -> dict[str, Any]:
        return self.services.handler(sample_jobs.job(workflow, **options))

    def run(
        self,
        workflow: sample_jobs.Workflow,
        *,
        target: Target | None = None,
        emit: Any = None,
        cancel: CancelToken | None = None,
        host: Host | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        self.events.clear()
        remote = None if target else self.target()
        try:
            handler = self.services.handler.on(target or remote.target)
            job = sample_jobs.job(workflow, **options)
            return handler(job, emit or self.events.append, cancel, host=host or Host())
        finally:
            if remote:
                remote.close()

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@contextmanager
def elsewhere_rig(scratch: Path) -> Iterator[Elsewhere]:
    with (
        StandinProcess() as standin,
        ApiProcess({"COMFY_HOST": standin.url, "API_KEY": KEY, "INPUT_URL_ALLOW_PRIVATE": "true"}) as api,
        RemoteFront(api.url) as front,
    ):
        services = wiring.build(Settings(comfy_host=standin.url, work_dir=scratch / "work", comfy_run_dir=scratch))
        yield Elsewhere(services, front, api, standin)
        services.close()
