"""The warm-up: a workflow run before the first job is taken, whose outputs go nowhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support import sample_jobs
from support.standin_process import StandinProcess

from api import wiring
from api.settings import Settings


@pytest.fixture(scope="module")
def standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


def warmed_up(standin: StandinProcess, tmp_path: Path, content: Any) -> int:
    """How many prompts ComfyUI has been given by a worker that got ready with this warm-up file."""
    file = tmp_path / "warm-up.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    before = _prompts(standin)
    services = wiring.build(
        Settings(comfy_host=standin.url, work_dir=tmp_path / "work", comfy_run_dir=tmp_path, warmup_workflow=file)
    )
    try:
        wiring.get_ready(services)
    finally:
        services.close()
    return _prompts(standin) - before


def _prompts(standin: StandinProcess) -> int:
    workflow = sample_jobs.flat(1)
    answer = requests.post(f"{standin.url}/prompt", json={"prompt": workflow}, timeout=10).json()
    return int(answer["number"])


def test_a_bare_workflow_runs(standin: StandinProcess, tmp_path: Path) -> None:
    assert warmed_up(standin, tmp_path, sample_jobs.flat(0xFFF)) == 2


def test_a_whole_job_runs(standin: StandinProcess, tmp_path: Path) -> None:
    assert warmed_up(standin, tmp_path, sample_jobs.job(sample_jobs.flat(0xFFE))) == 2


@pytest.mark.parametrize("content", ["[1, 2]", "{", '{"input": 5}'])
def test_what_is_no_workflow_keeps_the_worker_from_nothing(
    standin: StandinProcess, tmp_path: Path, content: str
) -> None:
    assert warmed_up(standin, tmp_path, content) == 1
