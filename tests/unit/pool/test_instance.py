"""What a ComfyUI says of itself, whatever it says."""

from pathlib import Path
from typing import Any

import pytest
from support.fleet import Fleet
from support.remote_front import RemoteFront

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
