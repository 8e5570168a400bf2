"""Workflows recorded on ComfyUI 0.3.64 give the recorded outputs through the handler, on the stand-in and for real."""

import base64
import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageSequence
from support.standin_process import StandinProcess

from api import wiring
from api.settings import Settings

DATA = Path(__file__).resolve().parents[1] / "data" / "comfyui" / "nodes"
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text())
RECORDED = sorted(path.stem for path in (DATA / "workflows").glob("*.json"))


@pytest.fixture(scope="module", params=["standin", pytest.param("real", marks=pytest.mark.comfyui)])
def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[wiring.Services]:
    scratch = tmp_path_factory.mktemp("worker")
    if request.param == "real":
        url = os.environ.get("COMFYUI_TEST_URL")
        if not url:
            pytest.skip("COMFYUI_TEST_URL is not set")
        yield from _services(url, scratch)
    else:
        with StandinProcess() as standin:
            yield from _services(standin.url, scratch)


def _services(url: str, scratch: Path) -> Iterator[wiring.Services]:
    services = wiring.build(Settings(comfy_host=url, work_dir=scratch / "work", comfy_run_dir=scratch))
    yield services
    services.close()


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_workflow(services: wiring.Services, name: str) -> None:
    wanted = EXPECTED[name]
    result = services.handler(_job(name))
    assert "error" not in result, result
    entries = [entry for key in ("images", "files") for entry in result.get(key, [])]
    for output in wanted["outputs"]:
        if "pixel_sha256" in output:
            assert _pixels(_entry(entries, output)) == _as_list(output["pixel_sha256"])
        elif output["key"] == "text":
            assert output.get("value", output.get("text")) in (None, _text(result, output["node"]))
    assert {entry["node_id"] for entry in [*entries, *result.get("text", [])]} >= {
        output["node"] for output in wanted["outputs"]
    }


def test_frames_sent_on_the_socket_only_are_delivered_as_files(services: wiring.Services) -> None:
    result = services.handler(_job("12_websocket_image_and_latent"))
    (picture,) = result["images"]
    source = Image.open(DATA / "inputs" / "core_src.png").convert("RGB")
    flipped = source.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert (picture["node_id"], _pixels(picture)) == ("3", [hashlib.sha256(flipped.tobytes()).hexdigest()])
    assert [file["filename"] for file in result["files"]] == ["lat_00001_.latent"]


@pytest.mark.comfyui
def test_a_video_is_delivered_as_one(tmp_path: Path) -> None:
    if "COMFYUI_TEST_URL" not in os.environ:
        pytest.skip("COMFYUI_TEST_URL is not set; the stand-in encodes no video")
    workflow = json.loads((DATA.parent / "real_only" / "09_video_mp4.json").read_text())
    for services in _services(os.environ["COMFYUI_TEST_URL"], tmp_path):
        (video,) = services.handler({"input": {"workflow": workflow}})["videos"]
    assert (video["mime_type"], video["filename"][-4:]) == ("video/mp4", ".mp4")
    assert base64.b64decode(video["data"])[4:8] == b"ftyp"


def _job(name: str) -> dict[str, Any]:
    workflow = json.loads((DATA / "workflows" / f"{name}.json").read_text())
    pictures = {node["inputs"]["image"] for node in workflow.values() if node["class_type"].startswith("LoadImage")}
    images = [
        {"name": picture, "image": base64.b64encode((DATA / "inputs" / picture).read_bytes()).decode()}
        for picture in sorted(pictures)
    ]
    return {"input": {"workflow": workflow, "images": images}}


def _entry(entries: list[dict[str, Any]], output: dict[str, Any]) -> dict[str, Any]:
    matching = [entry for entry in entries if entry["node_id"] == output["node"]]
    return matching[output["index"]]


def _pixels(entry: dict[str, Any]) -> list[str]:
    picture = Image.open(io.BytesIO(base64.b64decode(entry["data"])))
    frames = [frame.convert("RGBA" if frame.mode == "RGBA" else "RGB") for frame in ImageSequence.Iterator(picture)]
    return [hashlib.sha256(frame.tobytes()).hexdigest() for frame in frames]


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _text(result: dict[str, Any], node_id: str) -> Any:
    return next(text["data"] for text in result["text"] if text["node_id"] == node_id)
