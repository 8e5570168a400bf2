"""`python -m api deploy …`: the documents of the catalogue, and the demos, with a key and without."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.deploy_process import KEY, DeployProcess

from api import __main__
from api.standin.deploy.account import known_id

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def deploy() -> Iterator[DeployProcess]:
    with DeployProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def account(deploy: DeployProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COMFY_DEPLOY_API_KEY", KEY)
    monkeypatch.setenv("COMFY_DEPLOY_API_URL", deploy.url)
    monkeypatch.setenv("COMFY_DEPLOY_POLL_S", "0.02")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    deploy.healthy()


def test_the_documents(deploy: DeployProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "docs"
    assert __main__.main(["deploy", "catalog", "--out", str(folder)]) == 0
    catalog, mapping = (folder / "WORKFLOWS_CATALOG.md"), (folder / "WORKFLOW_NAME_MAPPING.md")
    before = catalog.read_bytes(), mapping.read_bytes()
    # The order in which the API lists things is not the documents'.
    assert __main__.main(["deploy", "catalog", "--out", str(folder)]) == 0
    assert (catalog.read_bytes(), mapping.read_bytes()) == before
    told = catalog.read_text()
    row = next(line for line in told.splitlines() if line.startswith("| `inpaint-sdxl`"))
    deployment = known_id("deployment of Inpaint SDXL (v2) on gpu-a as production")
    assert row == f"| `inpaint-sdxl` | Inpaint SDXL (v2) | `{deployment}` | `image`, `prompt` | – |"
    assert "| `seed` | integer | no | `1` | from 0 to 4294967296 | – |" in told and KEY not in told
    names = mapping.read_text()
    assert "| `portrait_batch` | – | `portrait-batch` | By rule; not a local workflow |" in names
    assert "| – | `convert` | `convert` | " in names and names.endswith("## Collisions\n\nNone.\n")
    assert str(catalog) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "sound", "faulty", "said"),
    [
        (
            "names",
            {"workflows": [{"standard": "portrait", "api": "Face"}]},
            {"workflows": [{"standard": "A B"}]},
            "a-b",
        ),
        ("routing", {"routingRules": {"Face": "m-1"}}, {"rules": [{"to": "m-1"}]}, "rules.0"),
        ("routing", {"defaultMachine": "m-1"}, {"routingRules": {"Face": "m-1", "portrait": "m-2"}}, "never counts"),
    ],
)
def test_files_are_checked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    word: str,
    sound: object,
    faulty: object,
    said: str,
) -> None:
    names, file = tmp_path / "names.json", tmp_path / "file.json"
    names.write_text(json.dumps({"workflows": [{"standard": "portrait", "api": "Face"}]}))
    # Two names are one workflow's only by this table.
    monkeypatch.setenv("WORKFLOW_NAMES", str(names))
    file.write_text(json.dumps(sound))
    assert __main__.main(["deploy", word, "check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file} is sound.\n"
    file.write_text(json.dumps(faulty))
    assert __main__.main(["deploy", word, "check", str(file)]) == 1
    assert said in capsys.readouterr().err
    assert __main__.main(["deploy", word, "check", str(tmp_path / "none")]) == 1


def test_the_catalogue_needs_an_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COMFY_DEPLOY_API_KEY")
    assert __main__.main(["deploy", "catalog", "--out", str(tmp_path)]) == 1
    assert "COMFY_DEPLOY_API_KEY" in capsys.readouterr().err


def test_the_demo_of_the_api(deploy: DeployProcess, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["deploy", "demo", "api", "--explore"]) == 0
    said = capsys.readouterr().out
    assert f"Connected to {deploy.url}/api" in said and "gpu-broken: comfy-deploy-serverless, T4, its status" in said
    assert f"  404  {deploy.url}/workflows/all  " in said
    assert f"  200  {deploy.url}/api/workflows/all  5 entries" in said
    assert KEY not in said


def test_the_demo_of_a_workflow(deploy: DeployProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["deploy", "demo", "workflow", "Text2Img", "--input", "width=32", "--input", "prompt=a cat"]
    assert __main__.main([*command, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert (tmp_path / "out_00001_.png").read_bytes().startswith(b"\x89PNG")
    assert "100 %" in said and "execute took" in said
    assert deploy.log()["runs"][-1]["workflow_inputs"] == {"prompt": "a cat", "width": 32}
    deploy.fault(fail_runs=1)
    assert __main__.main([*command, "--out", str(tmp_path)]) == 1
    assert "out of luck" in capsys.readouterr().err
    assert __main__.main(["deploy", "demo", "workflow", "nope"]) == 1
    assert "has no workflow 'nope'" in capsys.readouterr().err


@pytest.mark.e2e
def test_without_a_key_a_stand_in_takes_its_place() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COMFY_DEPLOY")}
    command = [sys.executable, "-m", "api", "deploy", "demo", "api"]
    ended = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "STAND-IN" in ended.stdout and "Workflows (5):" in ended.stdout
