"""Several ComfyUIs under each mode: changed over HTTP, under RunPod's loop, and over a restart of the worker."""

from collections import Counter
from pathlib import Path

import pytest
import requests
from support import sample_jobs
from support.api_worker import ApiWorker
from support.pool_rig import all_well, name_of, pool_rig
from support.runpod_platform import RunpodPlatform
from support.standin_process import StandinProcess
from support.waiting import wait_for
from support.worker_process import WorkerProcess

pytestmark = pytest.mark.e2e


def test_comfyuis_are_added_drained_and_removed_over_http(tmp_path: Path) -> None:
    with pool_rig(tmp_path, 1) as rig, StandinProcess() as second:
        (first,) = rig.comfy
        path = f"/admin/instances/{name_of(first)}"
        added = rig.worker.post("/admin/instances", json={"address": f"{name_of(second)};label=new;weight=2"})
        assert added.status_code == 201
        assert (added.json()["name"], added.json()["label"], added.json()["weight"]) == (name_of(second), "new", 2.0)
        rig.wait_status(second, "healthy")
        jobs = rig.submit(6, 0.3)
        all_well(rig.ended(jobs))
        assert set(rig.places(jobs)) == {name_of(first), name_of(second)}

        assert rig.worker.post(f"{path}/drain").json()["status"] == "draining"
        jobs = rig.submit(3, 0.1)
        all_well(rig.ended(jobs))
        assert set(rig.places(jobs)) == {name_of(second)}
        assert rig.worker.get("/health").json()["status"] == "healthy"

        assert rig.worker.post(f"{path}/resume").json()["status"] == "healthy"
        assert rig.worker.post(f"{path}/drain").ok
        removed = rig.worker.session.delete(rig.worker.url + path, timeout=10)
        assert removed.json() == {"name": name_of(first), "removed": True}
        assert set(rig.instances()) == {name_of(second)}
        assert rig.worker.session.delete(rig.worker.url + path, timeout=10).status_code == 404
        assert rig.worker.post("/admin/instances", json={"address": name_of(second)}).status_code == 409
        for body in ({}, {"address": ""}, {"address": "a b"}, {"address": 5}):
            assert rig.worker.post("/admin/instances", json=body).status_code == 400
        all_well(rig.ended(rig.submit(2, 0.1)))


def test_one_with_jobs_is_removed_by_force_only_and_they_are_run_elsewhere(tmp_path: Path) -> None:
    # A removal is no sign that the job ends ComfyUIs: it may use up no attempt.
    with pool_rig(tmp_path, 2, {"JOB_MAX_ATTEMPTS": "1"}) as rig:
        victim = rig.comfy[0]
        jobs = rig.submit(2, 1.0)
        rig.await_running_on(victim)
        path = f"{rig.worker.url}/admin/instances/{name_of(victim)}"
        refused = rig.worker.session.delete(path, timeout=10)
        assert (refused.status_code, refused.json()["code"]) == (409, "INSTANCE_CONFLICT")
        assert rig.worker.session.delete(path, params={"force": True}, timeout=10).ok
        all_well(rig.ended(jobs))
        queue = requests.get(f"{victim.url}/queue", timeout=5).json
        wait_for(lambda: not queue()["queue_running"], "its own to be stopped")


def test_only_operators_may_change_them(tmp_path: Path) -> None:
    keys = {"API_KEY": "user", "ADMIN_API_KEY": "operator"}
    with StandinProcess() as standin, ApiWorker(tmp_path, standin.url, keys) as worker:
        for key, status in (("user", 403), ("operator", 200)):
            answer = worker.get("/admin/instances", headers={"X-API-Key": key})
            assert answer.status_code == status


def test_a_worker_that_is_killed_takes_its_prompts_up_where_they_are(tmp_path: Path) -> None:
    with pool_rig(tmp_path, 3) as rig:
        jobs = rig.submit(6, 1.5)
        for standin in rig.comfy:
            rig.await_running_on(standin)
        rig.worker.kill()
        rig.worker.start()
        all_well(rig.ended(jobs))
        done = [len(requests.get(f"{standin.url}/history", timeout=5).json()) for standin in rig.comfy]
        # Nothing but canaries is left, and no job was run twice.
        assert sum(done) <= 6
        executed = sum(standin.log.count("Prompt executed") for standin in rig.comfy)
        assert executed - sum(done) <= 6 + 3


@pytest.mark.drill
def test_runpods_loop_uses_all_of_them(tmp_path: Path) -> None:
    with RunpodPlatform(hold_s=1.0) as platform, StandinProcess() as one, StandinProcess() as two:
        hosts = f"{one.url},{two.url}"
        with WorkerProcess({"COMFY_HOST": hosts, **platform.env()}) as worker:
            platform.wait_polled()
            ids = [platform.submit(sample_jobs.job(sample_jobs.slow(0.4, color=number + 1))) for number in range(8)]
            results = [platform.result(job_id, 60) for job_id in ids]
            assert all(len(result["output"]["images"]) == 1 for result in results), worker.log
        ran = Counter(standin.log.count("Prompt executed") - 1 for standin in (one, two))
        assert min(ran) >= 3


@pytest.mark.drill
def test_a_job_is_not_lost_when_one_dies_under_runpods_loop(tmp_path: Path) -> None:
    with RunpodPlatform(hold_s=1.0) as platform, StandinProcess() as one, StandinProcess() as two:
        hosts = f"{one.url},{two.url}"
        environment = {"COMFY_PROBE_INTERVAL_S": "0.2", "COMFY_PROBE_TIMEOUT_S": "0.5"}
        with WorkerProcess({"COMFY_HOST": hosts, **environment, **platform.env()}) as worker:
            platform.wait_polled()
            ids = [platform.submit(sample_jobs.job(sample_jobs.slow(1.0, color=number + 1))) for number in range(4)]
            wait_for(lambda: busy(one) and busy(two), "both to work")
            one.kill()
            results = [platform.result(job_id, 60) for job_id in ids]
            assert all("output" in result for result in results), worker.log


def busy(standin: StandinProcess) -> bool:
    return bool(requests.get(f"{standin.url}/queue", timeout=5).json()["queue_running"])
