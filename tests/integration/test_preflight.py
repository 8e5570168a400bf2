"""Jobs judged before they wait in line, against a ComfyUI that is asked for its definitions and nothing else."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.recorded import rejections
from support.standin_process import StandinProcess
from support.wire_tap import WireTap

from api.comfyui.catalog import Catalog
from api.comfyui.client import ComfyClient
from api.errors import ComfyUnreachable, InvalidInput
from api.ids import InstanceName
from api.jobs.request import Limits, parse
from api.preflight import Preflight, Report
from api.workflows import graph

ROOT = Path(__file__).resolve().parents[2]
RECORDED = {
    case: item["workflow"]
    for case, item in rejections().items()
    if isinstance(item["workflow"], dict) and item["workflow"]
}
PICTURE = ROOT / "tests" / "data" / "comfyui" / "nodes" / "inputs" / "core_src.png"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture(scope="module", params=["standin", pytest.param("real", marks=pytest.mark.comfyui)])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "standin":
        standin: StandinProcess = request.getfixturevalue("standin")
        return standin.url
    if "COMFYUI_TEST_URL" not in os.environ:
        pytest.skip("COMFYUI_TEST_URL is not set")
    return os.environ["COMFYUI_TEST_URL"]


def check(job: object) -> Any:
    return parse(job, Limits())


Make = Callable[..., Preflight]


@pytest.fixture
def preflight() -> Iterator[Make]:
    """`preflight(url, …)`: one for the ComfyUIs at these addresses."""
    clients: list[ComfyClient] = []

    def make(*urls: str, clock: Callable[[], float] = time.monotonic, **more: Any) -> Preflight:
        made = {InstanceName(url): ComfyClient(url, read_timeout_s=10) for url in urls}
        clients.extend(made.values())
        catalogs = {name: Catalog(client, clock=clock) for name, client in made.items()}
        return Preflight(catalogs, check, **more)

    yield make
    for client in clients:
        client.close()


def job(workflow: Any, **fields: Any) -> dict[str, Any]:
    return {"input": {"workflow": workflow, **fields}}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def picture(**inputs: Any) -> dict[str, Any]:
    empty = {"width": 8, "height": 8, "batch_size": 1, "color": 0, **inputs}
    return {"1": node("EmptyImage", **empty), "2": node("SaveImage", images=["1", 0], filename_prefix="x")}


def refused_by_comfyui(url: str, workflow: Any) -> bool:
    answer = requests.post(f"{url}/prompt", json={"prompt": workflow}, timeout=30)
    if answer.status_code == 200:
        requests.post(f"{url}/queue", json={"delete": [answer.json()["prompt_id"]]}, timeout=30)
    return answer.status_code == 400


@pytest.mark.parametrize("case", RECORDED)
def test_preflight_and_comfyui_agree(preflight: Make, url: str, case: str):
    try:
        refused = refused_by_comfyui(url, graph.check(RECORDED[case]))
    except InvalidInput:
        refused = True  # by the worker itself
    assert preflight(url).validate(job(RECORDED[case])).ok is not refused


def test_a_workflow_that_can_run(preflight: Make, url: str):
    asked: list[Any] = []
    report = preflight(url, expected_s=lambda workflow: asked.append(workflow) or 4.5).validate(job(picture()))
    assert report == Report(
        ok=True,
        format="api",
        instances=report.instances,
        outputs=("image",),
        expected_s=4.5,
    )
    assert [(item.name, item.could_run, item.missing, item.error) for item in report.instances] == [
        (url, True, (), None)
    ]
    assert asked == [graph.check(picture())]
    assert json.loads(json.dumps(report.as_dict()))["ok"] is True


def test_overrides_are_part_of_what_is_judged(preflight: Make, url: str):
    report = preflight(url).validate(job(picture(width=-4), overrides={"1.width": 16}))
    assert report.ok
    report = preflight(url).validate(job(picture(), overrides={"1.width": -4}))
    assert [detail["field"] for detail in report.errors] == ["workflow.1.inputs.width"]


def test_files_that_come_along_count_as_present_and_idle_ones_are_told(preflight: Make, url: str):
    workflow = {"1": node("LoadImage", image="new.png"), "2": node("PreviewImage", images=["1", 0])}
    images = [{"name": name, "image": "AA=="} for name in ("new.png", "idle.png")]
    assert not preflight(url).validate(job(workflow)).ok
    report = preflight(url).validate(job(workflow, images=images))
    assert (report.ok, [detail["code"] for detail in report.warnings]) == (True, ["unused_file"])
    assert "'idle.png'" in report.warnings[0]["message"]


@pytest.mark.parametrize(
    ("document", "format_", "code"),
    [
        ({"nodes": [], "links": []}, "ui", "ui_format"),
        ([1], "unknown", "wrong_type"),
        ({}, "unknown", "not_a_workflow"),
        ({"1": node("SaveImage", images=["7", 0])}, "api", "dangling_link"),
        ({"1": node("ImageInvert", image=["1", 0])}, "api", "cycle"),
    ],
)
def test_what_is_no_graph_is_told_without_asking_comfyui(preflight: Make, document: Any, format_: str, code: str):
    report = preflight(NOWHERE).validate(job(document))
    assert (report.ok, report.errors[0]["code"]) == (False, code)
    assert report.format == format_ or code == "wrong_type"


def test_each_instance_is_judged_by_what_it_has(preflight: Make, standin: StandinProcess):
    workflow = {"1": node("LoadImage", image="only.png"), "2": node("PreviewImage", images=["1", 0])}
    with StandinProcess() as other:
        other.input_dir.mkdir(exist_ok=True)
        shutil.copy(PICTURE, other.input_dir / "only.png")
        report = preflight(NOWHERE, standin.url, other.url).validate(job(workflow))
    told = [(item.name, item.could_run, len(item.missing), bool(item.error)) for item in report.instances]
    assert told == [(NOWHERE, False, 0, True), (standin.url, False, 1, False), (other.url, True, 0, False)]
    assert (report.ok, report.errors) == (True, ())
    assert "not asked" in report.readable()


def test_without_any_comfyui_there_is_no_saying(preflight: Make):
    with pytest.raises(ComfyUnreachable, match="No ComfyUI could be asked"):
        preflight(NOWHERE).validate(job(picture()))


def test_nothing_but_definitions_is_asked_for_and_that_seldom(preflight: Make, standin: StandinProcess):
    with WireTap(standin.url) as tap:
        judge = preflight(tap.url)
        for _ in range(5):
            judge.validate(job(picture()))
        asked = sorted(f"{request.method} {request.path}" for request in tap.requests())
    assert asked == ["GET /object_info", "GET /system_stats"]


def test_what_was_installed_since_is_seen_before_it_is_called_missing(preflight: Make, tmp_path: Path):
    with StandinProcess(directory=tmp_path) as standin:
        judge = preflight(standin.url, clock=iter(range(0, 10_000, 10)).__next__)
        workflow = {"1": node("LoadImage", image="late.png"), "2": node("PreviewImage", images=["1", 0])}
        assert not judge.validate(job(workflow)).ok
        (tmp_path / "input").mkdir(exist_ok=True)
        shutil.copy(PICTURE, tmp_path / "input" / "late.png")
        assert judge.validate(job(workflow)).ok


def test_the_command_line_tells_people_and_machines(standin: StandinProcess, tmp_path: Path):
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"5": node("ImageScal"), **picture()}))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "COMFY_HOST": standin.url, "WORK_DIR": str(tmp_path / "work")}
        command = [sys.executable, "-m", "api", "validate", *arguments]
        return subprocess.run(
            command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
        )

    good = run("test_input.json")
    assert (good.returncode, good.stdout.splitlines()[0]) == (0, "The workflow can run."), good.stderr
    wrong = run(str(bad))
    assert wrong.returncode == 1
    assert "node 5 (ImageScal): This ComfyUI has no node class 'ImageScal'" in wrong.stdout
    assert "Nearest: ImageScale" in wrong.stdout
    assert json.loads(run(str(bad), "--json").stdout)["errors"][0]["code"] == "missing_node_type"
