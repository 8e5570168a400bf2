"""Every recorded case of ComfyUI's model-free nodes that the stand-in knows: same ui, same files, same pixels."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence
from support.node_runner import NodeRunner

from api.standin.nodes import NODES

DATA = Path(__file__).resolve().parents[2] / "data" / "comfyui" / "nodes"
CASES: dict[str, dict[str, Any]] = json.loads((DATA / "cases.json").read_text())
EXPECTED: dict[str, dict[str, Any]] = json.loads((DATA / "expected.json").read_text())
GOOD = [name for name, case in CASES.items() if case["status"] == "success"]
# Convolutions sum in another order than torch: a pixel may be one level off. All others are exact.
ONE_OFF = {"ImageBlur", "ImageSharpen"}
TEMP_SUFFIX = re.compile(r"(?<=ComfyUI_temp_)[a-z]{5}(?=_)")


@pytest.fixture
def runner(tmp_path: Path) -> NodeRunner:
    return NodeRunner(tmp_path, DATA / "inputs")


def frames(path: Path) -> list[Image.Image]:
    with Image.open(path) as picture:
        mode = "RGBA" if "A" in picture.getbands() else "RGB"
        return [frame.convert(mode) for frame in ImageSequence.Iterator(picture)]


def digests(path: Path) -> Any:
    found = [hashlib.sha256(frame.tobytes()).hexdigest() for frame in frames(path)]
    return found if len(found) > 1 else found[0]


def without_suffixes(outputs: Any) -> Any:
    """The five letters of temp files are drawn anew by each process."""
    return json.loads(TEMP_SUFFIX.sub("xxxxx", json.dumps(outputs)))


@pytest.mark.parametrize("name", GOOD)
def test_recorded_case(runner: NodeRunner, name: str) -> None:
    case = CASES[name]
    outputs = runner.run(case["workflow"])

    assert without_suffixes(outputs) == without_suffixes(case["outputs"])
    written = [(entry["type"], runner.path(entry)) for ui in outputs.values() for entry in files_of(ui)]
    assert [kind for kind, _ in written] == [file["type"] for file in case.get("files", [])]
    for (_, path), facts in zip(written, case.get("files", []), strict=True):
        check(path, facts, tolerance=1 if name in ONE_OFF else 0)


def files_of(ui: dict[str, list[Any]]) -> list[dict[str, str]]:
    return [entry for entries in ui.values() for entry in entries if isinstance(entry, dict)]


def check(path: Path, facts: dict[str, Any], tolerance: int) -> None:
    assert path.suffix == f".{facts['ext']}"
    if "size" not in facts:
        assert path.stat().st_size == facts["bytes"]
        return
    with Image.open(path) as picture:
        assert (list(picture.size), picture.mode) == (facts["size"], facts["mode"])
        assert getattr(picture, "n_frames", 1) == facts["n_frames"]
    if "golden" in facts:
        difference = levels(path) - levels(DATA / "golden" / facts["golden"])
        assert np.abs(difference).max() <= tolerance
    if tolerance == 0:
        assert digests(path) == facts["pixel_sha256"]


def levels(path: Path) -> Any:
    return np.asarray(frames(path)[0]).astype(int)


@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_workflow(runner: NodeRunner, name: str) -> None:
    expected = EXPECTED[name]
    outputs = runner.run(json.loads((DATA / "workflows" / f"{name}.json").read_text()))

    assert outputs == expected["history_outputs_raw_example"]
    written = [runner.path(entry) for ui in outputs.values() for entry in files_of(ui)]
    told = [facts for facts in expected["outputs"] if "filename_pattern" in facts]
    for path, facts in zip(written, told, strict=True):
        check(path, facts, tolerance=0)
        with_text(path, facts)
    sent = [hashlib.sha256(picture.tobytes()).hexdigest() for _, picture, _ in runner.frames]
    assert sent == [frame["pixel_sha256"] for frame in expected["ws_binary_frames"]]


def with_text(path: Path, facts: dict[str, Any]) -> None:
    if "size" in facts:
        with Image.open(path) as picture:
            picture.load()
            assert list(getattr(picture, "text", {})) == facts["png_text_keys"]
            assert picture.info.get("duration") == facts.get("duration_ms")


def test_the_error_of_a_blend_mode_that_v3_combos_let_through(runner: NodeRunner) -> None:
    case = CASES["BAD_ImageBlend_mode_not_in_list"]
    told = case["exception"][0]
    with pytest.raises(ValueError, match=re.escape(told["exception_message"].strip())):
        runner.run(case["workflow"])
    assert told["exception_type"] == "ValueError"


def test_image_size_is_shown_on_the_node(runner: NodeRunner) -> None:
    case = CASES["GetImageSize"]
    runner.run(case["workflow"])
    assert runner.texts == [frame["text"] for frame in case["binary_frames"]]


def test_every_node_of_comfyui_has_a_recorded_case() -> None:
    covered = {node["class_type"] for case in CASES.values() for node in case["workflow"].values()}
    covered |= {"ImageQuantize", "JoinImageWithAlpha"}
    assert {name for name in NODES if not name.startswith("Standin")} - covered == set()
