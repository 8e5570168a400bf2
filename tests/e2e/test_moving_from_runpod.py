"""The examples of docs/moving-from-runpod.md, run as they stand there against a worker in HTTP API mode."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api_worker import ApiWorker
from support.standin_process import StandinProcess

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "moving-from-runpod.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def examples() -> dict[str, str]:
    """The code blocks by "language: heading above it"."""
    found = {}
    for section in PAGE.split("\n## ")[1:]:
        heading = section.partition("\n")[0]
        found |= {f"{language}: {heading}": code for language, code in BLOCK.findall(section)}
    return found


EXAMPLES = examples()


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorker]:
    folder = tmp_path_factory.mktemp("worker")
    with StandinProcess() as standin, ApiWorker(folder, standin.url, {"API_KEY": "my-key"}) as worker:
        yield worker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "test_input.json", tmp_path)
    return tmp_path


def run(title: str, command: list[str], worker: ApiWorker, folder: Path) -> str:
    """What the example prints, run in `folder` with the page's address replaced by the worker's."""
    code = next(code for name, code in EXAMPLES.items() if name.startswith(title))
    assert "http://localhost:8000" in code
    script = folder / "example.mjs"
    script.write_text(code.replace("http://localhost:8000", worker.url), encoding="utf-8")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    done = subprocess.run(
        [*command, str(script)], check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl(worker: ApiWorker, folder: Path):
    out = run("bash: curl", ["bash", "-eu"], worker, folder)
    first, counts = (json.loads(text) for text in re.findall(r"\{.*?\}(?=\{|$)(?!,)", out.replace("\n", ""))[:2])
    assert first["status"] == "IN_QUEUE"
    assert set(counts) == {"jobs", "workers"}
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "COMPLETED"
    assert result["output"]["images"][0]["type"] == "base64"


def test_runpods_own_sdk(worker: ApiWorker, folder: Path):
    run("python: Python", [sys.executable], worker, folder)
    pictures = list(folder.glob("*.png"))
    assert pictures
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
def test_javascript(worker: ApiWorker, folder: Path):
    out = run("js: JavaScript", ["node"], worker, folder)
    assert re.match(r"COMPLETED \[ '.*\.png'", out)


def test_the_client_of_the_worker(worker: ApiWorker, folder: Path):
    run("bash: The client", ["bash", "-eu"], worker, folder)
    assert list((folder / "made").glob("*.png"))


def test_every_example_is_run():
    assert len(EXAMPLES) == PAGE.count("```") // 2 == 4
