"""The catalogue of ComfyUI Deploy: how long it is believed, what it is when they are away, and what a fleet asks."""

import json
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.deploy_process import KEY, QUICK, DeployProcess, client_of
from support.ports import free_port
from support.waiting import wait_for

from api import deploy_errors
from api import errors as tree
from api.comfydeploy.catalog import Catalog, account_of
from api.comfydeploy.kept import KeptFiles
from api.comfydeploy.shared import RedisShared
from api.comfydeploy.shelf import Shared
from api.comfydeploy.transport import Policy
from api.workflows.naming import standardize_workflow_name

TTL_S = 60.0
# A list that comes in pages: the first one, and the empty one that says that it was the last.
PAGES = 2
GIVES_UP = Policy(attempts=1, timeout_s=5, total_s=5)


@pytest.fixture(scope="module")
def deploy() -> Iterator[DeployProcess]:
    with DeployProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def healthy(deploy: DeployProcess) -> Iterator[None]:
    yield
    deploy.healthy()


class Gateway:
    """A catalogue with a clock of its own that counts what it asks."""

    def __init__(
        self,
        deploy: DeployProcess,
        folder: Path | None = None,
        shared: Shared | None = None,
        key: str = KEY,
        policy: Policy = QUICK,
    ) -> None:
        self.now = 1000.0
        self.asked: Counter[str] = Counter()
        client = client_of(deploy, key, policy, on_try=self._note)
        kept = KeptFiles(folder, account_of(client.base_url, key)) if folder else None
        self.catalog = Catalog(
            client,
            TTL_S,
            kept=kept,
            shared=shared,
            standard=standardize_workflow_name,
            clock=lambda: self.now,
        )

    def _note(self, path: str, _status: int, _seconds: float) -> None:
        self.asked[path] += 1


def test_a_list_is_asked_for_once_while_it_is_fresh(deploy: DeployProcess) -> None:
    gateway = Gateway(deploy)
    readers = [threading.Thread(target=gateway.catalog.machines) for _ in range(8)]
    for thread in readers:
        thread.start()
    for thread in readers:
        thread.join()
    gateway.now += TTL_S - 1
    assert len(gateway.catalog.machines()) == 4
    assert gateway.asked == {"/machines": PAGES}
    assert gateway.catalog.facts()["machines"]["is_fresh"]


def test_an_old_list_is_shown_while_it_is_asked_for_anew(deploy: DeployProcess) -> None:
    gateway = Gateway(deploy)
    gateway.catalog.machines()
    machine = deploy.api("POST", "/machine/custom", json={"name": "new", "type": "classic", "endpoint": "http://x"})
    gateway.now += TTL_S
    deploy.fault(http_delay=200)
    # At once, and as it was.
    assert len(gateway.catalog.machines()) == 4
    wait_for(lambda: len(gateway.catalog.machines()) == 5, "the new list")
    assert gateway.asked == {"/machines": 2 * PAGES} and machine.status_code == 200


def test_things_are_found_by_id_name_and_standard_name(deploy: DeployProcess) -> None:
    catalog = Gateway(deploy).catalog
    inpaint = catalog.workflow("Inpaint SDXL (v2)")
    assert catalog.workflow(inpaint.id) == inpaint
    assert catalog.workflow("inpaint_sdxl").name == "Inpaint SDXL (v2)"
    (deployment,) = catalog.deployments_of(inpaint.id)
    assert catalog.deployment(deployment.id) == deployment
    assert catalog.machine("gpu-a") == catalog.machine(deployment.machine_id)
    for missing in (
        lambda: catalog.workflow("nope"),
        lambda: catalog.deployment("nope"),
        lambda: catalog.machine("nope"),
    ):
        with pytest.raises(deploy_errors.DeployNotFound, match="nope"):
            missing()


def test_machines_of_one_name_are_told_apart_by_their_ids(deploy: DeployProcess, tmp_path: Path) -> None:
    gateway = Gateway(deploy, tmp_path)
    for place in ("http://one", "http://two"):
        body = {"name": "twin", "type": "classic", "endpoint": place, "auth_token": "the-token-of-a-twin"}
        deploy.api("POST", "/machine/custom", json=body).raise_for_status()
    twins = [each for each in gateway.catalog.machines() if each.name == "twin"]
    with pytest.raises(deploy_errors.DeployNotFound, match="Several machines") as refused:
        gateway.catalog.machine("twin")
    assert all(each.id in refused.value.message for each in twins) and len(twins) == 2
    assert "Several machines" in str(gateway.catalog.machine_trouble("twin"))
    assert gateway.catalog.machine(twins[0].id) == twins[0]
    # Where machines are, and their tokens, is nothing that is used here.
    (file,) = tmp_path.iterdir()
    assert twins[0].id in file.read_text() and "http://one" not in file.read_text()
    for each in twins:
        deploy.api("PATCH", f"/machine/custom/{each.id}", json={"name": f"own-{each.id}"}).raise_for_status()


def test_who_has_a_caller_waiting_waits_for_seconds(deploy: DeployProcess) -> None:
    gateway = Gateway(deploy)
    deploy.fault(http_503="/workflows/all:1")
    # One try, where others would take four.
    with pytest.raises(deploy_errors.DeployUnreachable):
        gateway.catalog.soon().workflows()
    assert gateway.asked == {"/workflows/all": 1}
    assert gateway.catalog.workflows() == gateway.catalog.soon().workflows()
    gateway.catalog.machines()
    asked = gateway.asked.copy()
    gateway.catalog.invalidate()
    # What is placed by the rules asks nobody, whatever was invalidated.
    assert gateway.catalog.machine_trouble("gpu-broken") == "its status is error" and gateway.asked == asked
    # What is of just now is not asked for again for the sake of something that is not in it.
    assert gateway.catalog.workflows() and gateway.catalog.machines() and gateway.catalog.deployments()
    assert not gateway.catalog.look_again()
    gateway.now += 6
    assert gateway.catalog.look_again() and not gateway.catalog.facts()["workflows"]["is_fresh"]


def test_dropped_by_hand(deploy: DeployProcess) -> None:
    gateway = Gateway(deploy)
    gateway.catalog.machines(), gateway.catalog.workflows()
    gateway.catalog.invalidate(["machines"])
    assert not gateway.catalog.facts()["machines"]["is_fresh"]
    gateway.catalog.machines(), gateway.catalog.workflows()
    assert gateway.asked == {"/machines": 2 * PAGES, "/workflows/all": 1}


def test_the_last_known_good_outlives_the_api_and_the_process(deploy: DeployProcess, tmp_path: Path) -> None:
    first = Gateway(deploy, tmp_path, policy=GIVES_UP)
    known = first.catalog.workflows()
    deploy.fault(http_503="*")
    first.catalog.invalidate()
    assert first.catalog.workflows() == known
    facts = first.catalog.facts()["workflows"]
    assert facts["is_offline"] and "503" in facts["error"] and not facts["error"].count(KEY)
    # A new process has only the disk.
    second = Gateway(deploy, tmp_path, policy=GIVES_UP)
    assert second.catalog.workflows() == known
    with pytest.raises(deploy_errors.DeployUnreachable):
        second.catalog.machines()
    # They are left alone for a moment before they are asked again.
    second.catalog.workflows()
    assert second.asked == {"/workflows/all": 1, "/machines": 1}
    deploy.healthy()
    second.now += TTL_S
    wait_for(lambda: second.catalog.workflows() and not second.catalog.facts()["workflows"]["is_offline"], "recovery")


def test_a_key_that_is_no_longer_taken_shows_nothing(deploy: DeployProcess, tmp_path: Path) -> None:
    stranger = Gateway(deploy, tmp_path, key="a-wrong-key")
    with pytest.raises(deploy_errors.DeployRefused):
        stranger.catalog.workflows()


def test_broken_files_are_nothing(deploy: DeployProcess, tmp_path: Path) -> None:
    first = Gateway(deploy, tmp_path, policy=GIVES_UP)
    first.catalog.workflows()
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text())["rows"] and KEY not in file.read_text()
    deploy.fault(http_503="*")
    for broken in ("", "{", "[]", '{"rows": 1, "at": 2}', '{"rows": [1], "at": 2}'):
        file.write_text(broken)
        with pytest.raises(deploy_errors.DeployUnreachable):
            Gateway(deploy, tmp_path, policy=GIVES_UP).catalog.workflows()


@contextmanager
def redis_server() -> Iterator[str]:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed (apt install redis-server)")
    port = free_port()
    process = subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert any("Ready to accept connections" in line for line in process.stdout)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.communicate()


def test_a_fleet_asks_once(deploy: DeployProcess) -> None:
    with redis_server() as url:
        fleet = [Gateway(deploy, shared=RedisShared(url, "account")) for _ in range(6)]
        deploy.fault(http_delay=100)
        readers = [threading.Thread(target=each.catalog.machines) for each in fleet]
        for thread in readers:
            thread.start()
        for thread in readers:
            thread.join()
        assert sum(each.asked["/machines"] for each in fleet) == PAGES
        assert len({tuple(each.catalog.machines()) for each in fleet}) == 1
        # One is told that it is old: all ask anew, which is once.
        fleet[0].now += 3
        fleet[0].catalog.invalidate(["machines"])
        assert fleet[0].catalog.machines()
        for each in fleet[1:]:
            each.now += 3
            assert each.catalog.machines()
        times = lambda: {each.catalog.facts()["machines"]["fetched_at"] for each in fleet}  # noqa: E731
        wait_for(lambda: times() == {fleet[0].now}, "all to have the new list")
        assert sum(each.asked["/machines"] for each in fleet) == 2 * PAGES
    # Without Redis each one asks for itself, and none is in the way.
    alone = Gateway(deploy, shared=RedisShared(url, "account"))
    assert alone.catalog.machines() and alone.asked["/machines"] == PAGES


def test_a_lease_is_given_back_by_its_owner_only() -> None:
    with redis_server() as url:
        shared = RedisShared(url, "account")
        lease = shared.lease("machines", 30)
        assert lease and shared.lease("machines", 30) is None
        shared.give_back("machines", "somebody else's")
        assert shared.lease("machines", 30) is None
        shared.give_back("machines", lease)
        assert shared.lease("machines", 30)


def test_an_address_that_is_none() -> None:
    with pytest.raises(tree.InvalidSettings, match="COMFY_DEPLOY_REDIS_URL"):
        RedisShared("nonsense", "account")
