"""Routing over ComfyUIs and targets that are up or down as the test says; rules and names are files it writes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.fleet import Fleet

from api.ids import JobId
from api.jobs.placement import Arrival, Placement, Places
from api.jobs.request import Limits, parse
from api.pool.roster import Roster
from api.routing_layer import RoutingLayer
from api.workflows.naming import names_file
from api.workflows.registry import Registry
from api.workflows.routing_file import Router

TARGETS = ("runpod", "deploy")
WORKFLOW: dict[str, Any] = {"1": {"class_type": "EmptyImage", "inputs": {}}}


def write(path: Path, document: Any) -> Path:
    """As an operator's tool does it: whole, in the place of the old one."""
    new = path.with_suffix(".new")
    new.write_text(document if isinstance(document, str) else json.dumps(document))
    return new.replace(path)


@dataclass
class RoutingRig:
    layer: RoutingLayer
    fleet: Fleet
    rules: Path
    names: Path
    # Of targets, and of machines of ComfyUI Deploy: why they take no jobs.
    troubles: dict[str, str] = field(default_factory=dict)

    def ruled(self, document: Any) -> None:
        write(self.rules, document)

    def named(self, document: Any) -> None:
        write(self.names, document)

    def place(
        self, name: str | None = None, job_id: str = "job", *, operator: bool = False, **fields: Any
    ) -> Placement:
        """Where a job with those fields goes."""
        given = {"workflow": WORKFLOW, **fields}
        request = parse({"input": {key: value for key, value in given.items() if value is not None}}, Limits())
        return self.layer.place(Arrival(JobId(job_id), request, name, operator))


@contextmanager
def routing_rig(folder: Path) -> Iterator[RoutingRig]:
    """Two ComfyUIs of the pool, 10.0.0.1:8188 (label fast, an RTX 4090) and 10.0.0.2:8188 (an A100); all is up."""
    fleet = Fleet(folder)
    fast, big = fleet.add("10.0.0.1:8188", label="Fast"), fleet.add("10.0.0.2:8188")
    fast.instance.device = "cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync"
    big.instance.device = "cuda:0 NVIDIA A100-SXM4-80GB : native"
    roster = Roster(fleet.members)
    names = names_file(folder / "names.json", look_every_s=0)
    write(folder / "names.json", {})
    write(folder / "routing.json", {})
    troubles: dict[str, str] = {}
    layer = RoutingLayer(
        Router(folder / "routing.json", names.get, look_every_s=0),
        names,
        Registry(matches=lambda name, known: names.get().matches(name, known)),
        Places(TARGETS, roster.labels),
        roster,
        troubles.get,
        troubles.get,
    )
    try:
        yield RoutingRig(layer, fleet, folder / "routing.json", folder / "names.json", troubles)
    finally:
        fleet.close()
