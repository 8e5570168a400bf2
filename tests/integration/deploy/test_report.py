"""What ComfyUI Deploy is told of its run on this machine, also where it does not listen."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.scripted_site import Site, Visit, drip, serving
from support.waiting import wait_for

from api.deploy_machine.door import Door
from api.deploy_machine.report import Report
from api.errors import DeliveryFailed, JobCancelled
from api.inputs.addresses import AddressGuard
from api.jobs.cancel import CancelToken
from api.jobs.events import NodeStarted, ProgressMade, PromptStarted
from api.jobs.request import ReportSpec

DOOR = Door(AddressGuard(True, ()), timeout_s=20)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving() as running:
        yield running


def taken(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@pytest.mark.parametrize("token", ["a\r\nX-Other: b", "ünïcödé-☃"])
def test_a_token_that_no_header_can_have(site: Site, token: str) -> None:
    site.pages["/never"] = taken
    with pytest.raises(DeliveryFailed) as failed:
        DOOR.post(site.url("/never", "127.0.0.1"), token, {"run_id": "x"})
    assert token not in failed.value.message and "/never" not in site.paths()


def test_progress_is_not_kept_for_who_does_not_listen(site: Site) -> None:
    listens = threading.Event()

    def slow(visit: Visit) -> None:
        listens.wait(20)
        taken(visit)

    site.pages["/slow"] = slow
    report = Report(ReportSpec("run", site.url("/slow", "127.0.0.1"), token="token"), DOOR)
    wait_for(lambda: "/slow" in site.paths(), "the first word")
    report.told(PromptStarted())
    report.told(NodeStarted("3", "KSampler", "KSampler"))
    for percent in range(100):
        report.told(ProgressMade(float(percent), 0, 0))
    listens.set()
    report.ended({})
    # Started, running, success.
    assert site.paths().count("/slow") == 3


def test_a_cancel_ends_an_upload(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")
    cancel = CancelToken()

    def slow(visit: Visit) -> None:
        cancel.cancel()
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x")(visit)

    site.pages["/drips"] = slow
    started = time.monotonic()
    with pytest.raises(JobCancelled):
        DOOR.put(site.url("/drips", "127.0.0.1"), {}, tmp_path / "a.png", cancel)
    with pytest.raises(JobCancelled):
        DOOR.get(site.url("/never-asked", "127.0.0.1"), None, cancel)
    assert time.monotonic() - started < 5
    assert site.paths().count("/drips") == 1 and "/never-asked" not in site.paths()
