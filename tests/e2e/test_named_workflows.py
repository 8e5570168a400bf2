"""Named workflows called over HTTP: a real worker, and the stand-in or (marked) a real ComfyUI behind it."""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image
from support.api_worker import ApiWorker
from support.openapi_examples import undeclared_parameters, without_example
from support.standin_process import StandinProcess
from support.waiting import wait_for
from support.workflow_folders import IMAGE, TEMPLATE, manifest, write_folder

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
SLOW = {
    **TEMPLATE,
    "2": {"class_type": "StandinSleep", "inputs": {"image": ["1", 0], "seconds": 30.0}},
}


@dataclass
class Bench:
    """A worker that knows the workflows in `folder`, and pictures to send it."""

    worker: ApiWorker
    folder: Path

    def call(self, name: str, picture: bytes | None = None, path: str = "", **fields: Any) -> requests.Response:
        """A call as a form; fields that are bytes are files."""
        files = {name: ("file", value) for name, value in fields.items() if isinstance(value, bytes)}
        files |= {"imageFile": ("a.png", picture)} if picture is not None else {}
        texts = {name: (None, str(value)) for name, value in fields.items() if not isinstance(value, bytes)}
        return self.worker.post(f"/api/{name}{path}", files={**files, **texts})


def picture(width: int = 40, height: int = 30, kind: str = "PNG", color: Any = (200, 30, 60)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA" if len(color) == 4 else "RGB", (width, height), color).save(buffer, kind)
    return buffer.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def picture_in(answer: requests.Response) -> Image.Image:
    """The picture of an answer in JSON."""
    assert answer.status_code == 200, answer.text
    head, _, data = answer.json()["result"]["image_base64"].partition(";base64,")
    found = opened(base64.b64decode(data))
    assert head == f"data:{Image.MIME[found.format or '']}"
    return found


def fields_of(answer: requests.Response, status: int = 400) -> dict[str, str]:
    """{field: code} of a refusal."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["statusCode"] == status and body["message"]
    return {detail["field"]: detail["code"] for detail in body["details"]}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("worker")
    workflows = folder / "workflows"
    write_folder(workflows, "slow", manifest(inputs={"image": IMAGE}), SLOW)
    settings = {"WORKFLOWS_DIR": str(workflows), "MAX_INPUT_PIXELS": "1000000"}
    with StandinProcess() as comfyui, ApiWorker(folder, comfyui.url, settings) as worker:
        yield Bench(worker, workflows)


def test_a_form_gives_the_picture_back_in_json(bench: Bench) -> None:
    answer = bench.call("resize", picture(), width=20)
    body = answer.json()
    assert picture_in(answer).size == (20, 15)
    assert (body["success"], body["status"], body["type"], body["others"]) == (True, "completed", "resize", [])
    assert (body["result"]["width"], body["result"]["height"]) == (20, 15)
    assert answer.headers["X-Job-ID"] == body["job_id"]
    (entry,) = [job for job in bench.worker.get("/jobs").json()["jobs"] if job["job_id"] == body["job_id"]]
    assert entry["workflow"] == "resize"


@pytest.mark.parametrize("way", ["query", "accept"])
def test_the_answer_may_be_the_picture_itself(bench: Bench, way: str) -> None:
    path = "/api/convert?format=binary" if way == "query" else "/api/convert"
    answer = bench.worker.post(
        path,
        json={"image": base64_of(picture()), "format": "jpeg"},
        headers={"Accept": "image/*, */*;q=0.5"} if way == "accept" else {},
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
    found = opened(answer.content)
    assert (found.format, found.size) == ("JPEG", (40, 30))


def test_the_answer_may_be_a_link(bench: Bench) -> None:
    body = bench.call("resize", picture(), width=10, path="?format=url").json()
    linked = requests.get(body["result"]["image_url"], timeout=10)
    assert opened(linked.content).size == (10, 8)
    assert hashlib.sha256(linked.content).hexdigest() == body["result"]["sha256"]


@pytest.mark.parametrize("form", ["base64", "data URI", "upload"])
def test_a_picture_comes_in_json_in_any_form(bench: Bench, form: str) -> None:
    content = picture(color=(1, 2, len(form)))
    source = base64_of(content)
    if form == "data URI":
        source = f"data:image/png;base64,{source}"
    if form == "upload":
        source = bench.worker.post("/uploads", data=content).json()["ref"]
    found = picture_in(bench.worker.post("/api/resize", json={"image": source, "width": 8, "height": 8}))
    assert found.size == (8, 8)
    assert found.convert("RGB").getpixel((4, 4)) == (1, 2, len(form))


def test_the_watermark_lies_in_its_corner(bench: Bench) -> None:
    mark = picture(8, 8, color=(0, 255, 0, 255))
    found = picture_in(bench.call("watermark", picture(), watermark=mark, size=8, margin=2, position="top-right"))
    seen = found.convert("RGB")
    assert (seen.getpixel((34, 6)), seen.getpixel((6, 6)), seen.getpixel((34, 24))) == (
        (0, 255, 0), (200, 30, 60), (200, 30, 60),
    )  # fmt: skip
    half = picture_in(bench.call("watermark", picture(), watermark=mark, size=8, margin=2, opacity=0.5))
    red, green, _ = half.convert("RGB").getpixel((34, 24))  # type: ignore[misc]
    assert abs(red - 100) <= 2 and abs(green - 142) <= 2


@pytest.mark.parametrize(
    ("path", "fields"),
    [("/api/async/resize", {}), ("/api/resize?async=true", {}), ("/api/resize", {"async": "true"})],
)
def test_an_asynchronous_call_is_answered_at_once(bench: Bench, path: str, fields: dict[str, str]) -> None:
    files = {"imageFile": ("a.png", picture()), **{name: (None, text) for name, text in fields.items()}}
    answer = bench.worker.post(path, files=files)
    body = answer.json()
    assert (answer.status_code, body["status"], body["type"]) == (202, "pending", "resize")
    assert answer.headers["Location"] == body["status_url"] == f"/api/jobs/{body['job_id']}/status"
    assert bench.worker.ended(body["job_id"])["status"] == "completed"


def test_a_call_that_takes_too_long_is_answered_with_the_job(bench: Bench) -> None:
    answer = bench.call("slow", picture(), path="?wait=0.3")
    assert (answer.status_code, answer.json()["type"]) == (202, "slow")
    bench.worker.post(f"/jobs/{answer.json()['job_id']}/cancel")
    assert bench.worker.ended(answer.json()["job_id"])["error"] == "cancelled"


def test_what_stands_beside_the_inputs_is_the_jobs(bench: Bench) -> None:
    body = {"image": base64_of(picture()), "labels": {"project": "demo"}, "priority": "high", "async": True}
    job_id = bench.worker.post("/api/convert", json=body).json()["job_id"]
    entry = bench.worker.get(f"/jobs/{job_id}").json()
    assert (entry["labels"], entry["priority"]) == ({"project": "demo"}, "high")


def test_a_repeated_form_makes_one_job(bench: Bench) -> None:
    def call(content: bytes) -> requests.Response:
        files = {"imageFile": ("a.png", content)}
        return bench.worker.post("/api/async/resize", files=files, headers={"Idempotency-Key": "form-1"})

    first, again, other = call(picture()), call(picture()), call(picture(41))
    assert first.json()["job_id"] == again.json()["job_id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.status_code == 422


def test_run_takes_the_name_in_both_dialects(bench: Bench) -> None:
    call = {"workflow_name": "resize", "inputs": {"image": base64_of(picture()), "width": 4}}
    result = bench.worker.ended(bench.worker.submit({"input": call}))["result"]
    assert result["images"][0]["width"] == 4
    answer = bench.worker.post("/v2/any/runsync", json={"input": call}).json()
    assert answer["output"]["images"][0]["width"] == 4
    assert bench.worker.get(f"/jobs/{answer['id']}").json()["workflow"] == "resize"
    wrong = bench.worker.post("/run", json={**call, "inputs": {"image": "aGFsbG8=", "width": 4}})
    assert fields_of(wrong) == {"inputs.image": "unsupported_format"}
    assert fields_of(bench.worker.post("/run", json={**call, "workflow_name": "rezise"})) == {
        "workflow_name": "unknown_workflow"
    }


@pytest.mark.parametrize(
    ("sent", "fields"),
    [
        ({"width": "3"}, {"image": "missing"}),
        # What a browser sends of a form whose fields were left empty.
        ({"width": "", "format": ""}, {"image": "missing"}),
        ({"imageFile": picture(kind="GIF")}, {"imageFile": "unsupported_format"}),
        ({"imageFile": b"%PDF-1.7 and more"}, {"imageFile": "unsupported_format"}),
        ({"imageFile": picture()[:-40]}, {"imageFile": "invalid_picture"}),
        ({"imageFile": b""}, {"imageFile": "empty_file"}),
        ({"image": picture(kind="BMP")}, {"image": "unsupported_format"}),
        ({"image": picture(), "width": "99999"}, {"width": "out_of_range"}),
        ({"image": picture(), "width": "wide"}, {"width": "wrong_type"}),
        ({"image": picture(), "widht": "3"}, {"widht": "unknown_field"}),
        ({"image": picture(), "crop": "left"}, {"crop": "not_a_choice"}),
        ({"image": picture(), "imageFile": picture()}, {"image": "duplicate_key"}),
        ({"image": picture(), "width": picture()}, {"width": "unknown_file"}),
        ({"image": picture(), "priority": "now"}, {"priority": "enum"}),
        ({"image": picture(), "async": "maybe"}, {"async": "wrong_type"}),
    ],
)  # fmt: skip
def test_a_call_is_refused_before_anything_runs(bench: Bench, sent: dict[str, Any], fields: dict[str, str]) -> None:
    before = bench.worker.get("/health").json()["job_stats"]["total"]
    parts = {name: ("file" if isinstance(value, bytes) else None, value) for name, value in sent.items()}
    assert fields_of(bench.worker.post("/api/resize", files=parts)) == fields
    assert bench.worker.get("/health").json()["job_stats"]["total"] == before


def test_json_is_refused_by_the_same_names(bench: Bench) -> None:
    gif = base64_of(picture(kind="GIF"))
    assert fields_of(bench.worker.post("/api/resize", json={"image": gif})) == {"image": "unsupported_format"}
    assert fields_of(bench.worker.post("/api/resize", json={"imageFile": gif})) == {"imageFile": "unsupported_format"}
    assert fields_of(bench.worker.post("/api/resize", json={"image": "not base64!"})) == {"image": "invalid_base64"}
    upload = bench.worker.post("/uploads", data=picture(kind="GIF")).json()["ref"]
    assert fields_of(bench.worker.post("/api/resize", json={"image": upload})) == {"image": "unsupported_format"}


def test_sizes_and_pixels_are_limited(bench: Bench) -> None:
    large = picture() + bytes(10_000_001)
    assert fields_of(bench.call("resize", large), 413) == {"imageFile": "too_large"}
    assert fields_of(bench.call("resize", bytes(30_000_000)), 413) == {"image": "too_large"}
    text = base64_of(large)
    assert fields_of(bench.worker.post("/api/resize", json={"image": text}), 413) == {"image": "too_large"}
    # A few kilobytes that would be 12 MB in memory.
    assert fields_of(bench.call("resize", picture(2000, 2000)), 413) == {"imageFile": "too_many_pixels"}


def test_a_call_of_thousands_of_inputs_is_refused_at_once(bench: Bench) -> None:
    answer = bench.worker.session.post(
        f"{bench.worker.url}/api/watermark", json={str(at): at for at in range(20_000)}, timeout=5
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_INPUT")
    assert len(answer.content) < 1000


def test_a_form_that_is_none_is_refused(bench: Bench) -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = bench.worker.post("/api/resize", data=b"no form", headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_INPUT")
        assert "form" in answer.json()["message"]


def test_a_failed_run_is_an_error_in_the_callers_words(bench: Bench) -> None:
    answer = bench.worker.post("/api/resize", json={"image": "http://127.0.0.1:9/a.png"})
    assert fields_of(answer) == {"image": "url_refused"}
    assert answer.headers["X-Job-ID"]


def test_what_comfyui_lacks_is_no_fault_of_the_caller(bench: Bench) -> None:
    answer = bench.call("remove-background", picture())
    assert (answer.status_code, answer.json()["code"]) == (503, "WORKFLOW_UNUSABLE")
    assert "InspyrenetRembg" in answer.json()["message"]


def test_unknown_workflows_and_methods(bench: Bench) -> None:
    answer = bench.call("rezise", picture())
    assert (answer.status_code, answer.json()["details"][0]["nearest"]) == (404, ["resize"])
    assert bench.worker.get("/api/resize").status_code == 405
    assert bench.worker.get("/api/resize").headers["Allow"] == "POST, OPTIONS"
    assert bench.worker.get("/api/nothing").status_code == 404


def test_the_list_tells_what_each_takes_and_whether_it_can_run(bench: Bench) -> None:
    entries = {entry["name"]: entry for entry in bench.worker.get("/api/workflows").json()["workflows"]}
    assert {"convert", "remove-background", "resize", "slow", "upscale-image", "watermark"} <= set(entries)
    resize = entries["resize"]
    assert (resize["available"], resize["missing"], resize["builtin"]) == (True, [], True)
    assert resize["inputs"]["image"]["formats"] == ["png", "jpeg", "webp"]
    assert resize["inputs"]["width"] == {
        "type": "integer", "default": 0, "minimum": 0, "maximum": 16384, "required": False,
        "description": "Pixels; 0 = what keeps the proportions",
    }  # fmt: skip
    lacking = entries["remove-background"]
    assert (lacking["available"], lacking["missing"][0]["class_type"]) == (False, "InspyrenetRembg")
    assert bench.worker.get("/api/workflows/resize").json() == resize
    assert bench.worker.get("/api/workflows/rezise").status_code == 404


def test_a_new_workflow_is_there_without_a_restart(bench: Bench) -> None:
    folder = write_folder(bench.folder, "fresh", manifest(title="Fresh"))
    wait_for(lambda: "/api/fresh" in found_paths(bench), "the path of the new workflow")
    document = bench.worker.get("/openapi.json").json()
    assert document["components"]["schemas"]["FreshInputs"]["properties"]["width"]["maximum"] == 64
    assert picture_in(bench.call("fresh", picture(), width=5)).size == (5, 8)
    (folder / "manifest.json").write_text("{")
    entry = wait_for(lambda: (found := fresh(bench))["error"] and found, "the error")
    assert entry["error"].startswith("manifest.json is not JSON") and entry["title"] == "Fresh"
    assert bench.call("resize", picture()).status_code == 200
    for file in folder.iterdir():
        file.unlink()
    wait_for(lambda: "/api/fresh" not in found_paths(bench), "its end")


def found_paths(bench: Bench) -> dict[str, Any]:
    paths: dict[str, Any] = bench.worker.get("/openapi.json").json()["paths"]
    return paths


def fresh(bench: Bench) -> dict[str, Any]:
    entry: dict[str, Any] = bench.worker.get("/api/workflows/fresh").json()
    return entry


def test_the_document_has_a_schema_of_each(bench: Bench) -> None:
    document = bench.worker.get("/openapi.json").json()
    content = document["paths"]["/api/resize"]["post"]["requestBody"]["content"]
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/ResizeInputs"}
    form = content["multipart/form-data"]["schema"]
    assert form["properties"]["image"]["format"] == "binary"
    assert form["required"] == ["image"]
    assert "/api/async/watermark" in document["paths"]
    assert without_example(document) == []
    assert undeclared_parameters(document) == []


def test_the_example_of_the_document_works(bench: Bench) -> None:
    for name in ("resize", "convert", "watermark"):
        schema = bench.worker.get("/openapi.json").json()["components"]["schemas"][f"{name.capitalize()}Inputs"]
        assert bench.worker.post(f"/api/{name}", json=schema["example"]).status_code == 200


def test_a_draft_made_by_the_command_line_runs(bench: Bench, tmp_path: Path) -> None:
    export = tmp_path / "Make smaller.json"
    nodes = {**TEMPLATE, "1": {**TEMPLATE["1"], "_meta": {"title": "Load Image"}}}
    export.write_text(json.dumps({"prompt": nodes}))
    command = [sys.executable, "-m", "api", "workflows"]
    added = subprocess.run(
        [*command, "add", str(export), "--dir", str(bench.folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert added.returncode == 0, added.stderr
    assert (bench.folder / "make-smaller" / "manifest.json").is_file()
    again = subprocess.run(
        [*command, "add", str(export), "--dir", str(bench.folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    wait_for(lambda: "/api/make-smaller" in found_paths(bench), "the drafted workflow")
    assert picture_in(bench.call("make-smaller", picture(), width=6, height=3)).size == (6, 3)


def test_the_command_line_tells_what_there_is_and_what_is_wrong(tmp_path: Path) -> None:
    write_folder(tmp_path)
    environment = {**os.environ, "WORKFLOWS_DIR": str(tmp_path)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "api", "workflows", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert "shrink" in run("list").stdout and "built in" in run("list").stdout
    assert (run("check").returncode, run("check").stdout) == (0, "All sound.\n")
    (tmp_path / "torn.json").write_text("{")
    assert run("check").returncode == 1
    assert "torn.json is not JSON" in run("check", str(tmp_path / "torn.json")).stderr


def test_a_job_of_any_mode_may_name_a_workflow(tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    inputs = {"image": base64_of(picture()), "width": 4}
    job.write_text(json.dumps({"input": {"workflow_name": "resize", "inputs": inputs}}))
    with StandinProcess() as comfyui:
        environment = {**os.environ, "COMFY_HOST": comfyui.url, "LOG_LEVEL": "error"}
        command = [sys.executable, "-m", "api", "run", str(job)]
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert '"width": 4' in ran.stdout


@pytest.mark.comfyui
def test_the_built_in_ones_run_on_a_real_comfyui(tmp_path: Path) -> None:
    if "COMFYUI_TEST_URL" not in os.environ:
        pytest.skip("COMFYUI_TEST_URL is not set")
    with ApiWorker(tmp_path, os.environ["COMFYUI_TEST_URL"]) as worker:
        real = Bench(worker, tmp_path)
        assert picture_in(real.call("resize", picture(), width=20)).size == (20, 15)
        assert picture_in(real.call("convert", picture(), format="jpeg")).format == "JPEG"
        mark = picture(8, 8, color=(0, 255, 0, 255))
        for corner, spot in {"top-left": (6, 6), "top-right": (34, 6), "bottom-right": (34, 24)}.items():
            found = picture_in(real.call("watermark", picture(), watermark=mark, size=8, margin=2, position=corner))
            assert found.convert("RGB").getpixel(spot) == (0, 255, 0)
        entries = {entry["name"]: entry for entry in worker.get("/api/workflows").json()["workflows"]}
        assert entries["resize"]["available"] is True


@pytest.mark.comfyui
def test_a_model_that_comfyui_lacks_is_no_fault_of_the_caller(tmp_path: Path) -> None:
    if "COMFYUI_TEST_URL" not in os.environ:
        pytest.skip("COMFYUI_TEST_URL is not set")
    with ApiWorker(tmp_path, os.environ["COMFYUI_TEST_URL"]) as worker:
        files = {"image": ("a.png", picture(), "image/png")}
        answer = worker.post("/api/upscale-image", files=files)
    assert (answer.status_code, answer.json()["code"]) == (503, "WORKFLOW_UNUSABLE"), answer.text
    assert "4x_NMKD-Siax_200k.pth" in answer.json()["message"]
