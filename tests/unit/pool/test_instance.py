"""What a ComfyUI says of itself, whatever it says."""

from pathlib import Path
from typing import Any

import pytest
from support.fleet import Fleet
from support.ports import free_port
from support.remote_front import RemoteFront

from api.comfyui.client import ComfyClient
from api.comfyui.process import ComfyProcess
from api.comfyui.stream import ComfyStream
from api.errors import ComfyNotStarted
from api.ids import InstanceName
from api.jobs.cancel import CancelToken
from api.pool.instance import Instance, StartPatience

NOTHING = {"comfyui_version": None, "pytorch_version": None, "device": None}


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
