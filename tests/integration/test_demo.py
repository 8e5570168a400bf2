"""`python -m api demo`: which ComfyUI it takes, which files, and what it says when that fails."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import sample_jobs
from support.fake_worker import FakeWorker
from support.standin_process import StandinProcess

from api import __main__
from api.demo import read_job

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def demo(folder: Path, job: Any) -> int:
    (folder / "job.json").write_text(json.dumps(job))
    return __main__.main(["demo", "--job", str(folder / "job.json"), "--out", str(folder / "made")])


@pytest.mark.parametrize("form", ["runpod", "own"])
def test_the_images_of_a_job_come_along_in_either_form(
    standin: StandinProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
):
    monkeypatch.setenv("COMFY_HOST", standin.url)
    job = sample_jobs.job(sample_jobs.inverted(), images={"input.png": sample_jobs.png()})
    assert demo(tmp_path, job if form == "runpod" else job["input"]) == 0
    assert [path.suffix for path in (tmp_path / "made").iterdir()] == [".png"]


def test_a_workflow_alone_is_a_job(tmp_path: Path):
    (tmp_path / "job.json").write_text(json.dumps(sample_jobs.flat()))
    assert read_job(tmp_path / "job.json") == {"input": {"workflow": sample_jobs.flat()}}


@pytest.mark.parametrize("name", ["COMFY_HOST", "COMFYUI_HOST"])
def test_a_comfyui_that_is_named_and_away_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
):
    monkeypatch.delenv("COMFY_HOST", raising=False)
    monkeypatch.setenv(name, NOWHERE)
    assert demo(tmp_path, sample_jobs.flat()) == 1
    told = capsys.readouterr()
    assert f"No ComfyUI answers at {NOWHERE}." in told.err and "STAND-IN" not in told.out
    assert not (tmp_path / "made").exists()


def test_what_is_no_comfyui_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with FakeWorker() as other:
        monkeypatch.setenv("COMFY_HOST", other.url)
        assert demo(tmp_path, sample_jobs.flat()) == 1
        assert f"What answers at {other.url} is no ComfyUI." in capsys.readouterr().err


def test_one_of_several_is_enough(standin: StandinProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COMFY_HOST", f"{NOWHERE},{standin.url}")
    assert demo(tmp_path, sample_jobs.flat(0x010203)) == 0


def test_a_failure_is_told_once_and_in_plain_letters(
    standin: StandinProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COMFY_HOST", standin.url)
    workflow = sample_jobs.inverted("größe → missing.png")
    assert demo(tmp_path, workflow) == 1
    told = capsys.readouterr().out
    assert told.count("größe → missing.png") == 1, told
    assert '"node_id": "1"' in told and "\\u" not in told
