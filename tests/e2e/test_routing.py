"""Rules in a file that send named workflows to this or that ComfyUI, in real processes and without a restart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.pool_rig import PoolRig, name_of, pool_rig
from support.routing_rig import write
from support.waiting import wait_for

pytestmark = pytest.mark.e2e
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mM4IWcDAALUASNMnwvaAAAAAElFTkSuQmCC"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("routed")


@pytest.fixture(scope="module")
def rig(folder: Path) -> Iterator[PoolRig]:
    files = {"ROUTING_FILE": write(folder / "routing.json", {}), "WORKFLOW_NAMES": write(folder / "names.json", {})}
    with pool_rig(folder, 2, {name: str(path) for name, path in files.items()}) as made:
        yield made


def resized_on(rig: PoolRig, name: str = "resize") -> str:
    """The ComfyUI that a call of the workflow of that name ran on."""
    body = {"image": f"data:image/png;base64,{_PIXEL}", "width": 8, "height": 8}
    answer = rig.worker.post(f"/api/{name}", json=body)
    assert answer.status_code == 200, answer.text
    return str(rig.worker.get(f"/api/jobs/{answer.json()['job_id']}/status").json()["comfyui_instance"])


def ruled(rig: PoolRig, folder: Path, document: dict[str, Any]) -> None:
    """The worker has seen the rules."""
    write(folder / "routing.json", document)
    names = [rule["name"] for rule in document["rules"]]
    told = lambda: rig.worker.get("/api/deploy/routing").json()  # noqa: E731
    wait_for(lambda: [rule["name"] for rule in told()["rules"]] == names, f"the rules {names}")


def test_jobs_follow_the_rules_as_they_change(rig: PoolRig, folder: Path) -> None:
    one, two = map(name_of, rig.comfy)
    ruled(rig, folder, {"rules": [{"name": "to one", "workflow": "Resize Image", "to": one, "fallbacks": two}]})
    assert {resized_on(rig) for _ in range(3)} == {one}
    ruled(rig, folder, {"rules": [{"name": "to two", "workflow": "resize", "to": two}]})
    # By another of its names.
    assert {resized_on(rig, "image-resize") for _ in range(3)} == {two}
    # The name of the stand-in's device, which the worker has asked for.
    ruled(rig, folder, {"rules": [{"name": "to a cpu", "workflow": "resize", "to": "gpu:CPU"}]})
    assert resized_on(rig) in {one, two}
    assert rig.worker.get("/health").json()["status"] == "healthy"
    ruled(rig, folder, {"rules": [{"name": "to two again", "workflow": "resize", "to": two, "fallbacks": one}]})
    rig.worker.post(f"/admin/instances/{two}/drain", json={})
    assert resized_on(rig) == one
    told = rig.worker.post("/api/deploy/routing/explain", json={"workflow_name": "resize"}).json()
    assert (told["destination"]["machine"], told["tried"][0]["reason"]) == (one, f"{two}: It is being drained.")
    write(folder / "routing.json", "{")
    wait_for(
        lambda: "routing.json: is not JSON" in str(rig.worker.get("/health").json()["warnings"]), "the file to be told"
    )
    assert resized_on(rig) == one
