"""The worker and ComfyUI killed at random, the disk full, the database locked: every acknowledged job ends once."""

from pathlib import Path

import pytest
from support.api_worker import ApiWorker
from support.chaos import Chaos, Trouble, faults, full_disk, kills, locked_database
from support.standin_process import StandinProcess

pytestmark = pytest.mark.e2e


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("trouble", "jobs", "every_s"),
    [
        (kills, 20, 1.3),
        pytest.param(full_disk, 16, 2, marks=pytest.mark.drill),
        pytest.param(locked_database, 16, 2, marks=pytest.mark.drill),
    ],
)
def test_no_job_is_lost_and_none_ends_twice(tmp_path: Path, trouble: Trouble, jobs: int, every_s: float) -> None:
    with StandinProcess() as comfyui, ApiWorker(tmp_path, comfyui.url) as worker:
        chaos = Chaos(worker, comfyui, trouble, every_s=2.0, seed=7)
        tally = chaos.run(jobs, execute_s=0.2, timeout_s=150)
        assert faults(tally, worker, jobs) == []
        assert tally.troubles
