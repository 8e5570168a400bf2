"""Several ComfyUIs behind one worker: who gets which job, what is taken back, and members that come and go."""

import contextlib
import functools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from support import sample_jobs
from support.sample_jobs import Workflow
from support.standin_process import StandinProcess
from support.waiting import wait_for
from support.wire_tap import WireTap

from api import wiring
from api.errors import InstanceConflict, InstanceNotFound, InvalidInput
from api.ids import InstanceName, PromptId
from api.jobs.events import JobEvent, PromptAssigned
from api.jobs.ports import Attempt, Host
from api.settings import Settings

A, B = "a.safetensors", "b.safetensors"


class Rig:
    """A worker with several stand-ins; `taps` show what passes between them."""

    def __init__(self, services: wiring.Services, comfy: Sequence[StandinProcess], taps: Sequence[WireTap]) -> None:
        self.services = services
        self.comfy = comfy
        self.taps = taps
        self._threads = ThreadPoolExecutor(16)

    def close(self) -> None:
        self._threads.shutdown()

    def start(self, workflow: Workflow, events: list[JobEvent] | None = None, host: Host | None = None) -> Future[Any]:
        emit = (lambda _event: None) if events is None else events.append
        job = sample_jobs.job(workflow)
        return self._threads.submit(self.services.handler, job, emit, host=host or Host())

    def facts(self, number: int) -> Any:
        return next(each for each in self.services.comfy.roster.facts() if each["name"] == name_of(self.taps[number]))

    def wait_facts(self, number: int, **wanted: Any) -> None:
        def fit() -> bool:
            facts = self.facts(number)
            return all(facts[key] == value for key, value in wanted.items())

        wait_for(fit, f"number {number} to have {wanted}")

    def usable(self) -> None:
        wait_for(lambda: not self.services.comfy.roster.troubles(), "all of them")

    def queue(self, number: int) -> tuple[list[str], list[str]]:
        """Ids of what runs there and what waits."""
        queue = requests.get(f"{self.comfy[number].url}/queue", timeout=5).json()
        return [item[1] for item in queue["queue_running"]], [item[1] for item in queue["queue_pending"]]

    def history(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = requests.get(f"{self.comfy[number].url}/history", timeout=5).json()
        return found


def name_of(tap: WireTap) -> str:
    return tap.url.removeprefix("http://")


@contextlib.contextmanager
def rigged(folder: Path, arguments: Sequence[Sequence[str]], **settings: Any) -> Iterator[Rig]:
    with contextlib.ExitStack() as stack:
        comfy = [stack.enter_context(StandinProcess(arguments=each)) for each in arguments]
        taps = [stack.enter_context(WireTap(standin.url)) for standin in comfy]
        values = {
            "comfy_host": ",".join(tap.url for tap in taps),
            "work_dir": folder / "work",
            "comfy_run_dir": folder,
            "comfy_root": folder / "none",
            "comfy_probe_interval_s": 0.2,
            "websocket_reconnect_delay_s": 0.2,
            **settings,
        }
        services = wiring.build(Settings(**values))
        rig = Rig(services, comfy, taps)
        services.comfy.crew.start(functools.partial(wiring.warm_up, services))
        stack.callback(services.close)
        stack.callback(rig.close)
        rig.usable()
        yield rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rigged(tmp_path, [(), ()]) as made:
        yield made


def places(events: Sequence[JobEvent]) -> list[str]:
    return [event.instance for event in events if isinstance(event, PromptAssigned)]


def modelled(model: str, color: int, seconds: float = 0.1) -> Workflow:
    workflow = sample_jobs.slow(seconds, color=color)
    workflow["4"] = sample_jobs.node("StandinModel", image=["2", 0], model=model, load_s=0.5)
    workflow["3"]["inputs"]["images"] = ["4", 0]
    return workflow


def occupied(rig: Rig, number: int, seconds: float) -> Future[Any]:
    """A job that keeps one of them busy, wherever the others are."""
    pool = rig.services.comfy.pool
    member = rig.services.comfy.roster.find(name_of(rig.taps[number]))
    assert member is not None
    job = rig.start(sample_jobs.slow(seconds, color=number + 900), host=Host(seat=pool.seat_on(member)))
    rig.wait_facts(number, running=1)
    return job


def test_jobs_at_once_are_shared(rig: Rig) -> None:
    events: list[list[JobEvent]] = [[] for _ in range(4)]
    results = [rig.start(sample_jobs.slow(0.4, color=number + 1), each) for number, each in enumerate(events)]
    assert all("error" not in result.result(20) for result in results)
    assert sorted(Counter(place for each in events for place in places(each)).values()) == [2, 2]


def test_a_job_that_waits_inside_one_is_taken_back_for_one_that_is_free(rig: Rig) -> None:
    first, second = occupied(rig, 0, 4.0), occupied(rig, 1, 0.6)
    third = occupied_behind(rig, 0)
    fourth: list[JobEvent] = []
    waiting = rig.start(sample_jobs.slow(0.1, color=77), fourth)
    wait_for(lambda: places(fourth), "its first place")
    result = waiting.result(20)
    assert "error" not in result
    assert not first.done(), "it should not have waited for the long one"
    assert "error" not in second.result(20) and "error" not in third.result(20) and "error" not in first.result(20)


def occupied_behind(rig: Rig, number: int) -> Future[Any]:
    """Another one that waits in its queue, and is to be moved."""
    events: list[JobEvent] = []
    member = rig.services.comfy.roster.find(name_of(rig.taps[number]))
    other = rig.services.comfy.roster.find(name_of(rig.taps[1 - number]))
    assert member is not None and other is not None
    rig.services.comfy.roster.drain(other.name)
    job = rig.start(sample_jobs.slow(0.1, color=55), events)
    wait_for(lambda: len(rig.queue(number)[1]) == 1, "it to wait inside")
    rig.services.comfy.roster.drain(other.name, draining=False)
    return job


def test_taken_back_means_dequeued_there_and_run_once(rig: Rig) -> None:
    long = occupied(rig, 0, 3.0)
    moved = occupied_behind(rig, 0)
    result = moved.result(20)
    assert "error" not in result and not long.done()
    assert rig.queue(0)[1] == []
    assert len(rig.taps[0].requests("POST /queue")) == 1
    assert "error" not in long.result(20)
    executed = [sum(event.name == "execution_success" for event in tap.events()) for tap in rig.taps]
    assert executed == [2, 2]  # the canary of each, and one job


def test_what_begins_before_it_can_be_taken_back_stays(rig: Rig) -> None:
    """The dequeue comes too late: the job is not run twice."""
    with contextlib.ExitStack() as stack:
        stack.callback(rig.comfy[0].clear_faults)
        long = occupied(rig, 0, 0.7)
        moved = occupied_behind(rig, 0)
        rig.comfy[0].set_fault("http_delay", 400)
        assert "error" not in moved.result(20) and "error" not in long.result(20)
    executed = sum(event.name == "execution_success" for tap in rig.taps for event in tap.events())
    assert executed == 4


def test_models_stay_where_they_are(tmp_path: Path) -> None:
    offers = ["--model", A, "--model", B]
    with rigged(tmp_path, [offers, offers]) as rig:
        for model in (A, B):  # each has one from here on
            assert "error" not in rig.start(modelled(model, 99)).result(20)
        jobs = [rig.start(modelled(model, number + 1)) for number, model in enumerate([A, B] * 6)]
        assert all("error" not in job.result(30) for job in jobs)
        loads = [standin.log.count("Requested to load") for standin in rig.comfy]
        assert loads == [1, 1]


def test_a_job_goes_only_where_its_model_is(tmp_path: Path) -> None:
    with rigged(tmp_path, [["--model", A], ["--model", B]]) as rig:
        events: list[JobEvent] = []
        for number in range(3):
            assert "error" not in rig.start(modelled(B, number + 1), events).result(20)
        assert set(places(events)) == {name_of(rig.taps[1])}
        refused = rig.start(modelled("c.safetensors", 9)).result(20)
        assert refused["code"] == "PROMPT_REJECTED"
        for tap in rig.taps:
            assert f"{name_of(tap)} has no 'c.safetensors' for model of StandinModel" in refused["error"]
        assert {detail["code"] for detail in refused["details"]} == {"value_not_in_list"}
        unknown = {"9": sample_jobs.node("NoSuchNode"), **sample_jobs.flat()}
        refused = rig.start(unknown).result(20)
        assert "has no node class 'NoSuchNode'" in refused["error"]


def test_a_model_that_was_installed_since_is_found(tmp_path: Path) -> None:
    with rigged(tmp_path, [["--model", A], ["--model", A]]) as rig:
        rig.comfy[1].arguments = ["--model", A, "--model", B]
        rig.comfy[1].restart()
        events: list[JobEvent] = []
        wait_for(lambda: rig.facts(1)["status"] == "healthy" and "error" not in rig.start(modelled(B, 1)).result(20), B)
        assert "error" not in rig.start(modelled(B, 2), events).result(20)
        assert places(events) == [name_of(rig.taps[1])]


def test_prompts_of_others_are_counted_in(rig: Rig) -> None:
    other = sample_jobs.slow(5.0, color=5)
    posted = requests.post(f"{rig.comfy[0].url}/prompt", json={"prompt": other}, timeout=5)
    assert posted.status_code == 200
    rig.wait_facts(0, foreign_prompts=1)
    events: list[JobEvent] = []
    for color in (1, 2, 3):
        assert "error" not in rig.start(sample_jobs.flat(color), events).result(20)
    assert set(places(events)) == {name_of(rig.taps[1])}
    requests.post(f"{rig.comfy[0].url}/interrupt", json={}, timeout=5)
    rig.wait_facts(0, foreign_prompts=0)


def test_a_drained_one_gets_no_jobs_and_gives_back_what_waits(rig: Rig) -> None:
    long = occupied(rig, 0, 1.5)
    rig.services.comfy.roster.drain(name_of(rig.taps[1]))
    waiting = rig.start(sample_jobs.flat(1), events := [])
    wait_for(lambda: len(rig.queue(0)[1]) == 1, "it to wait inside")
    rig.services.comfy.roster.drain(name_of(rig.taps[0]))
    rig.services.comfy.roster.drain(name_of(rig.taps[1]), draining=False)
    assert "error" not in waiting.result(20)
    assert places(events) == [name_of(rig.taps[0]), name_of(rig.taps[1])]
    assert not long.done()
    assert "error" not in long.result(20)
    assert rig.facts(0)["status"] == "draining"


def test_members_come_and_go(rig: Rig) -> None:
    crew, roster = rig.services.comfy.crew, rig.services.comfy.roster
    with StandinProcess() as third:
        added = crew.add(f"127.0.0.1:{third.port};label=new;weight=3")
        wait_for(lambda: added.is_healthy, "the new one")
        with pytest.raises(InstanceConflict, match="there already"):
            crew.add(third.url)
        for tap in rig.taps:
            roster.drain(name_of(tap))
        events: list[JobEvent] = []
        assert "error" not in rig.start(sample_jobs.flat(3), events).result(20)
        assert places(events) == [f"127.0.0.1:{third.port}"]
        job = rig.start(sample_jobs.slow(2.0, color=3))
        wait_for(lambda: added.facts()["running"], "a job there")
        with pytest.raises(InstanceConflict, match="drain it and wait"):
            crew.remove(added.name)
        for tap in rig.taps:
            roster.drain(name_of(tap), draining=False)
        crew.remove(added.name, force=True)
        assert added.name not in {member.name for member in roster.members}
        queue = f"{third.url}/queue"
        wait_for(lambda: not requests.get(queue, timeout=5).json()["queue_running"], "its job to be stopped there")
    assert "error" not in job.result(20)
    with pytest.raises(InstanceNotFound):
        crew.remove("nobody:1")
    with pytest.raises(InvalidInput, match="host:port"):
        crew.add("nobody at all")


def test_a_prompt_of_an_earlier_worker_is_followed_where_it_is(rig: Rig) -> None:
    prompt_id = PromptId("11111111-1111-4111-8111-111111111111")
    workflow = sample_jobs.slow(1.0, color=9)
    body = {"prompt": workflow, "prompt_id": prompt_id, "client_id": "earlier"}
    assert requests.post(f"{rig.comfy[1].url}/prompt", json=body, timeout=5).status_code == 200
    events: list[JobEvent] = []
    host = Host(resume=Attempt(prompt_id, InstanceName(name_of(rig.taps[1]))))
    assert "error" not in rig.start(workflow, events, host).result(20)
    assert [(event.prompt_id, event.instance) for event in events if isinstance(event, PromptAssigned)] == [
        (prompt_id, name_of(rig.taps[1]))
    ]


def test_a_prompt_on_one_that_is_gone_is_run_elsewhere_and_cancelled_at_its_return(rig: Rig) -> None:
    prompt_id = PromptId("22222222-2222-4222-8222-222222222222")
    rig.comfy[1].kill()
    rig.wait_facts(1, status="unhealthy")
    host = Host(resume=Attempt(prompt_id, InstanceName(name_of(rig.taps[1]))))
    events: list[JobEvent] = []
    assert "error" not in rig.start(sample_jobs.flat(4), events, host).result(20)
    assert places(events) == [name_of(rig.taps[0])]
    member = rig.services.comfy.roster.find(name_of(rig.taps[1]))
    assert member is not None and member.orphans == {prompt_id}
    rig.comfy[1].restart()
    rig.wait_facts(1, status="healthy")
    assert member.orphans == set()


def test_one_that_answers_but_runs_nothing_gets_no_jobs(tmp_path: Path) -> None:
    with StandinProcess() as good, StandinProcess(faults={"dead_worker": True}) as dead:
        settings = Settings(
            comfy_host=f"{good.url},{dead.url}", work_dir=tmp_path / "work", comfy_run_dir=tmp_path, comfy_stall_s=0.5
        )
        services = wiring.build(settings)
        services.comfy.crew.start(lambda _member: None)
        try:
            wait_for(
                lambda: "does not run prompts" in " ".join(services.comfy.roster.troubles()) or wedged(services),
                "the dead one to be found out",
                timeout_s=60,
            )
            events: list[JobEvent] = []
            for color in (1, 2, 3):
                assert "error" not in services.handler(sample_jobs.job(sample_jobs.flat(color)), events.append)
            assert set(places(events)) == {good.url.removeprefix("http://")}
        finally:
            services.close()


def wedged(services: wiring.Services) -> bool:
    return "worker thread" in " ".join(services.comfy.roster.troubles())


def test_each_is_warmed_up_before_it_gets_jobs_and_again_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "warm.json"
    file.write_text(json.dumps(sample_jobs.flat(0xABCDEF)))
    with rigged(tmp_path, [(), ()], warmup_workflow=file) as rig:
        assert [len(tap.requests("POST /prompt")) for tap in rig.taps] == [2, 2]  # canary and warm-up
        rig.comfy[0].restart()
        wait_for(lambda: len(rig.taps[0].requests("POST /prompt")) == 4, "both of them again")
        rig.usable()
        assert len(rig.taps[1].requests("POST /prompt")) == 2


def test_a_socket_that_drops_is_no_restart(tmp_path: Path) -> None:
    with rigged(tmp_path, [(), ()]) as rig:
        losses = rig.services.instance.stream.losses
        rig.comfy[0].set_fault("drop_socket_after", 1)
        assert "error" not in rig.start(sample_jobs.flat(1)).result(20)
        assert "error" not in rig.start(sample_jobs.flat(2)).result(20)
        wait_for(lambda: rig.services.instance.stream.losses > losses, "the loss")
        rig.usable()
        canaries = len(rig.history(0)) + len(rig.history(1))
        wait_for(lambda: rig.services.instance.stream.connected, "the socket again")
        assert canaries >= 2
        assert sum(len(tap.requests("POST /prompt")) for tap in rig.taps) == 4  # two canaries, two jobs
