"""The worker and ComfyUI killed at random, the disk full, the database locked: every acknowledged job ends once."""

from pathlib import Path

import pytest
from support.api_worker import ApiWorker
from support.chaos import VICTIMS, Chaos, Trouble, faults, full_disk, kills, locked_database
from support.standin_process import StandinProcess

pytestmark = pytest.mark.e2e
_JOBS = 18


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("trouble", "every_s", "kinds"),
    [
        (kills, 1.3, set(VICTIMS)),
        pytest.param(full_disk, 2.0, {"full disk"}, marks=pytest.mark.drill),
        pytest.param(locked_database, 2.0, {"locked database"}, marks=pytest.mark.drill),
    ],
)
def test_no_job_is_lost_and_none_ends_twice(tmp_path: Path, trouble: Trouble, every_s: float, kinds: set[str]) -> None:
    with StandinProcess() as comfyui, ApiWorker(tmp_path, comfyui.url) as worker:
        chaos = Chaos(worker, comfyui, trouble, every_s=every_s, seed=7)
        tally = chaos.run(_JOBS, execute_s=0.3, timeout_s=150)
        assert faults(tally, worker, _JOBS) == []
        assert set(tally.troubles) == kinds
