"""Fault drills: one of three ComfyUIs fails in each of the ways there are, and the jobs go on."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import sample_jobs
from support.pool_rig import PoolRig, all_well, name_of, pool_rig
from support.waiting import wait_for

pytestmark = pytest.mark.e2e

JOBS, SECONDS = 12, 0.4


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[PoolRig]:
    with pool_rig(tmp_path, 3) as made:
        yield made


def work_is_shared(rig: PoolRig) -> None:
    """Each of them gets jobs again, as soon as its failures are long enough ago."""

    def shared() -> bool:
        jobs = rig.submit(9, 0.2)
        all_well(rig.ended(jobs))
        return set(rig.places(jobs)) == {name_of(standin) for standin in rig.comfy}

    wait_for(shared, "all of them to get jobs")


def test_one_is_killed(rig: PoolRig) -> None:
    victim = rig.comfy[0]
    jobs = rig.submit(JOBS, SECONDS)
    rig.await_running_on(victim)
    victim.kill()
    rig.wait_status(victim, "unhealthy", 5)
    assert rig.told(victim)["breaker"] == "open"
    assert rig.worker.get("/health").json()["status"] == "degraded"
    assert rig.worker.get("/readyz").ok
    all_well(rig.ended(jobs))
    victim.restart()
    rig.wait_status(victim, "healthy")
    work_is_shared(rig)


def test_one_hangs(rig: PoolRig) -> None:
    """It takes connections and never answers."""
    victim = rig.comfy[1]
    jobs = rig.submit(JOBS, SECONDS)
    rig.await_running_on(victim)
    os.kill(victim.pid, signal.SIGSTOP)
    try:
        rig.wait_status(victim, "unhealthy", 10)
        all_well(rig.ended(jobs))
    finally:
        os.kill(victim.pid, signal.SIGCONT)
    rig.wait_status(victim, "healthy")
    work_is_shared(rig)
    # What it still had of jobs that were done elsewhere is gone.
    assert rig.told(victim)["foreign_prompts"] == 0


@pytest.mark.drill
def test_one_is_slow(rig: PoolRig) -> None:
    """Ten times: it gets fewer jobs, and those that wait there are taken back."""
    victim = rig.comfy[2]
    victim.set_fault("slow_execute", 1200)  # for each of the three nodes
    all_well(rig.ended(rig.submit(6, SECONDS)))
    jobs = rig.submit(JOBS, SECONDS)
    all_well(rig.ended(jobs))
    assert rig.places(jobs)[name_of(victim)] <= 2
    assert rig.told(victim)["status"] == "healthy"


@pytest.mark.drill
def test_one_answers_with_errors(rig: PoolRig) -> None:
    """Its probes go well, its jobs do not."""
    victim = rig.comfy[0]
    victim.set_fault("http_500", "/history")
    jobs = rig.submit(JOBS, SECONDS)
    all_well(rig.ended(jobs, 100))
    victim.clear_faults()
    rig.wait_status(victim, "healthy")
    work_is_shared(rig)


@pytest.mark.drill
def test_one_refuses_prompts(rig: PoolRig) -> None:
    victim = rig.comfy[0]
    victim.set_fault("http_500", "/prompt")
    jobs = rig.submit(JOBS, SECONDS)
    all_well(rig.ended(jobs))
    wait_for(lambda: rig.told(victim)["breaker"] != "closed", "the breaker to open")
    assert name_of(victim) not in rig.places(jobs)
    victim.clear_faults()
    rig.wait_status(victim, "healthy")
    work_is_shared(rig)


@pytest.mark.drill
def test_one_is_out_of_memory(rig: PoolRig) -> None:
    victim = rig.comfy[1]
    victim.set_fault("oom", True)
    jobs = rig.submit(JOBS, SECONDS)
    all_well(rig.ended(jobs))
    assert name_of(victim) not in rig.places(jobs)
    wait_for(lambda: rig.told(victim)["breaker"] != "closed", "the breaker to open")
    victim.clear_faults()
    rig.wait_status(victim, "healthy")
    work_is_shared(rig)


@pytest.mark.drill
def test_a_job_too_large_for_all_of_them_fails_and_no_breaker_opens(rig: PoolRig) -> None:
    failing = sample_jobs.flat(0x31)
    kind = "torch.OutOfMemoryError"
    failing["5"] = sample_jobs.node("StandinFail", image=["1", 0], message="Allocation on device", kind=kind)
    failing["6"] = sample_jobs.node("SaveImage", images=["5", 0], filename_prefix="never")
    for _ in range(4):
        ended = rig.worker.ended(rig.worker.submit(sample_jobs.job(failing)))
        assert (ended["status"], ended["error"] is not None) == ("failed", True)
    assert {each["breaker"] for each in rig.instances().values()} == {"closed"}


def modelled(model: str, number: int) -> dict[str, sample_jobs.Workflow]:
    workflow = sample_jobs.flat(number)
    workflow["5"] = sample_jobs.node("StandinModel", image=["1", 0], model=model, load_s=0.1)
    workflow["2"]["inputs"]["images"] = ["5", 0]
    return sample_jobs.job(workflow)


ONLY_A, BOTH = ["--model", "a.safetensors"], ["--model", "a.safetensors", "--model", "b.safetensors"]


@pytest.mark.drill
def test_one_is_restarted_with_other_models(tmp_path: Path) -> None:
    with pool_rig(tmp_path, 3, arguments=[BOTH, BOTH, ONLY_A]) as rig:
        changed = rig.comfy[0]
        jobs = [rig.worker.submit(modelled("b.safetensors", number + 1)) for number in range(8)]
        all_well(rig.ended(jobs))
        assert set(rig.places(jobs)) == {name_of(standin) for standin in rig.comfy[:2]}
        changed.arguments = ONLY_A
        changed.restart()
        jobs = [rig.worker.submit(modelled("b.safetensors", number + 50)) for number in range(6)]
        all_well(rig.ended(jobs))
        assert set(rig.places(jobs)) == {name_of(rig.comfy[1])}
        rig.wait_healthy()
        ended = rig.worker.ended(rig.worker.submit(modelled("c.safetensors", 99)))
        assert ended["status"] == "failed"
        for standin in rig.comfy:
            assert f"{name_of(standin)} has no 'c.safetensors' for model of StandinModel" in ended["error"]


def test_all_are_down_and_come_back(rig: PoolRig) -> None:
    for standin in rig.comfy:
        standin.kill()
    for standin in rig.comfy:
        rig.wait_status(standin, "unhealthy")
    jobs = rig.submit(3, 0.1)
    assert not rig.worker.get("/readyz").ok
    assert {rig.worker.status(job)["status"] for job in jobs} == {"pending"}
    assert "No ComfyUI can take it" in rig.worker.get(f"/why/{jobs[0]}").json()["why"]
    for standin in rig.comfy:
        standin.restart()
    all_well(rig.ended(jobs))
