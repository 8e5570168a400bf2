"""Jobs that ask for a label: they run on the ComfyUIs that have it and on no other, or wait for one of them."""

import functools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import sample_jobs
from support.standin_process import StandinProcess
from support.waiting import wait_for

from api import wiring
from api.errors import ComfyBusy, InvalidInput
from api.jobs.cancel import CancelToken
from api.jobs.events import JobEvent, PromptAssigned
from api.jobs.placement import Placement
from api.jobs.ports import Host
from api.pool.roster import Roster
from api.settings import Settings


class Rig:
    """A worker over two ComfyUIs, the second one labelled Fast."""

    def __init__(self, services: wiring.Services, names: tuple[str, str]) -> None:
        self.services = services
        self.slow, self.fast = names
        self._colors = iter(range(1, 1000))

    def run(self, host: Host | None = None, **given: Any) -> tuple[dict[str, Any], list[str]]:
        """The result of a job, and where it ran."""
        events: list[JobEvent] = []
        job = sample_jobs.job(sample_jobs.slow(0.1, color=next(self._colors)), **given)
        result = self.services.handler(job, events.append, CancelToken(), None, host or Host())
        return result, [event.instance for event in events if isinstance(event, PromptAssigned)]

    def drain(self, name: str, *, draining: bool = True) -> None:
        self.services.comfy.roster.drain(name, draining=draining)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder: Path = tmp_path_factory.mktemp("labels")
    with StandinProcess() as first, StandinProcess() as second:
        settings = Settings(
            comfy_host=f"{first.url},{second.url};label=Fast",
            work_dir=folder / "work",
            comfy_run_dir=folder,
            comfy_root=folder / "none",
            comfy_unreachable_grace_s=1,
        )
        services = wiring.build(settings)
        services.comfy.crew.start(functools.partial(wiring.warm_up, services))
        wait_for(lambda: not services.comfy.roster.troubles(), "both of them")
        yield Rig(services, (f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}"))
        services.close()


def test_all_that_ask_for_it_run_there_though_another_one_is_free(rig: Rig) -> None:
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(lambda gpu: rig.run(gpu=gpu), ("fast", "FAST", " Fast", "fast")))
    assert [result.get("error") for result, _places in runs] == [None] * 4
    assert [places for _result, places in runs] == [[rig.fast]] * 4


def test_where_it_was_decided_to_run_goes_before_its_own_words(rig: Rig) -> None:
    # Also by the name of a ComfyUI, which callers cannot ask for.
    for label, place in (("fast", rig.fast), (rig.slow, rig.slow), (rig.fast, rig.fast)):
        _result, places = rig.run(Host(placement=Placement(label=label)), gpu="local")
        assert places == [place]


def test_serverless_knows_its_own_comfyuis_only(rig: Rig) -> None:
    assert rig.run(gpu="local")[0].get("error") is None
    result, places = rig.run(gpu="runpod")
    assert (result["code"], places) == ("INVALID_INPUT", [])
    assert result["error"] == "gpu is 'runpod'; there is: local, fast."
    with pytest.raises(InvalidInput, match="there is: local, fast"):
        rig.services.handler.check(sample_jobs.job(sample_jobs.flat(), gpu=rig.fast))


def test_with_the_label_away_a_job_waits_and_says_for_what(rig: Rig) -> None:
    rig.drain(rig.fast)
    try:
        result, places = rig.run(gpu="fast")
        told = f"The job waits for {rig.fast} (It is being drained)."
        assert (result["error"], places) == (told, [])
        # One from a line goes back there, and others run meanwhile.
        seat = rig.services.comfy.pool.take(5)
        result, places = rig.run(Host(seat=seat, placement=Placement(label="fast")))
        assert (result["code"], result["error"], places) == (ComfyBusy.code, told, [])
        assert seat is not None
        seat.leave()
        assert rig.run()[1] == [rig.slow]
        assert rig.services.comfy.roster.trouble("fast") == f"{rig.fast}: It is being drained."
        assert rig.services.comfy.roster.trouble() is None
    finally:
        rig.drain(rig.fast, draining=False)


def test_a_job_that_waits_goes_there_as_soon_as_it_is_back(rig: Rig) -> None:
    rig.drain(rig.fast)
    # From a line: it comes again until it is taken.
    done: list[list[str]] = []

    def until_taken() -> None:
        while not done:
            seat = rig.services.comfy.pool.take(5)
            _result, places = rig.run(Host(seat=seat, placement=Placement(label="fast")))
            done.extend([places] if places else [])
            if seat is not None:
                seat.leave()

    thread = threading.Thread(target=until_taken)
    thread.start()
    assert rig.run()[1] == [rig.slow]
    rig.drain(rig.fast, draining=False)
    thread.join(20)
    assert done == [[rig.fast]]


def test_a_label_that_nobody_has_any_more_is_told() -> None:
    assert Roster([]).trouble("gone") == "There is no ComfyUI with the label gone; add one with POST /admin/instances."
