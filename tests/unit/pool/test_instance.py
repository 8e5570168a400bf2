"""What a ComfyUI says of itself, whatever it says."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fleet import Fleet
from support.ports import free_port
from support.remote_front import RemoteFront

from api.comfyui.client import ComfyClient
from api.comfyui.process import ComfyProcess
from api.comfyui.stream import ComfyStream
from api.errors import ComfyDied, ComfyNotStarted, ComfyUnreachable, PromptLost, WorkerError
from api.ids import InstanceName
from api.jobs.cancel import CancelToken
from api.pool.instance import Instance, StartPatience
from api.pool.target import may_run_again

NOTHING = {"comfyui_version": None, "pytorch_version": None, "device": None}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("stats", "facts"),
    [
        ({"system": ["0.3.64"], "devices": 5}, NOTHING),
        ({"system": None, "devices": {"name": "cuda:0"}}, NOTHING),
        ({"system": {"comfyui_version": "0.3.64"}, "devices": ["cuda:0", {"name": "cuda:1"}]},
         {**NOTHING, "comfyui_version": "0.3.64", "device": "cuda:1"}),
    ],
)  # fmt: skip
def test_facts_that_make_no_sense_are_left_out(tmp_path: Path, stats: Any, facts: Any) -> None:
    fleet = Fleet(tmp_path)
    with RemoteFront() as front:
        front.will("GET /system_stats", times=None, content=stats)
        member = fleet.add(front.url.removeprefix("http://"))
        assert (member.instance.facts(), member.instance.device) == (facts, facts["device"])
        fleet.close()


class _OpenSocket(ComfyStream):
    """One that has not heard yet that the other side is gone."""

    connected = True


def test_a_comfyui_that_has_ended_is_waited_for_though_its_socket_seems_open(tmp_path: Path) -> None:
    (tmp_path / "comfyui.exit").write_text("{}")  # start.sh has written down its end, and has no other yet
    url = f"http://127.0.0.1:{free_port()}"
    process, patience = ComfyProcess.in_dir(tmp_path), StartPatience(0.01, 0, 0.2)
    instance = Instance(InstanceName("a:1"), ComfyClient(url), _OpenSocket(url, "id"), process, patience)
    with pytest.raises(ComfyNotStarted):
        instance.wait_ready(CancelToken())
    instance.close()


DIED = ComfyDied("ComfyUI ended while it was executing the prompt.")


@pytest.mark.parametrize(
    ("last_node", "told"),
    [
        ("3", "ComfyUI at a:1 ended while the job was executing node 3."),
        (None, "ComfyUI at a:1 ended while the job was executing."),
    ],
)
def test_an_end_seen_from_outside_is_told_with_its_name_and_node(
    fleet: Fleet, last_node: str | None, told: str
) -> None:
    error = fleet.add("a:1").instance.autopsy(DIED, time.time(), last_node)
    assert (type(error), error.message) == (ComfyDied, told)
    assert [detail["node_id"] for detail in error.details] == ([last_node] if last_node else [])


@pytest.mark.parametrize(
    ("error", "last_node"),
    [(PromptLost("Gone."), "3"), (ComfyUnreachable("No answer."), None)],
)
def test_nothing_more_is_known_of_what_is_no_end(fleet: Fleet, error: WorkerError, last_node: str | None) -> None:
    assert fleet.add("127.0.0.1:1").instance.autopsy(error, time.time(), last_node) is error


def test_one_that_went_away_has_ended_where_nothing_listens_any_more(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        instance, silent = fleet.add(f"127.0.0.1:{server.getsockname()[1]}").instance, ComfyUnreachable("No answer.")
        assert instance.autopsy(silent, time.time(), "3") is silent
    error = instance.autopsy(silent, time.time(), "3")
    assert isinstance(error, ComfyDied) and "was executing node 3" in error.message
    assert not may_run_again(error)


def test_one_that_is_known_to_live_has_not_ended(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "comfyui.pid").write_text(str(os.getpid()))
    assert isinstance(fleet.add("a:1").instance.autopsy(DIED, time.time(), "3"), PromptLost)
