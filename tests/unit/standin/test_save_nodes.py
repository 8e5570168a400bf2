"""What the saving nodes write: names, folders, metadata, formats; names as recorded in 05 and 09."""

import json
import re
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.node_runner import NodeRunner

EXIF_MODEL, EXIF_MAKE = 0x0110, 0x010F


@pytest.fixture
def runner(tmp_path: Path) -> NodeRunner:
    return NodeRunner(tmp_path)


def workflow(class_type: str, batch_size: int = 1, **inputs: Any) -> dict[str, Any]:
    empty = {"width": 16, "height": 12, "batch_size": batch_size, "color": 119}
    return {
        "1": {"class_type": "EmptyImage", "inputs": empty},
        "2": {"class_type": class_type, "inputs": {"images": ["1", 0], **inputs}},
    }


def save(runner: NodeRunner, prefix: str, batch_size: int = 1) -> list[dict[str, str]]:
    images: list[dict[str, str]] = runner.run(workflow("SaveImage", batch_size, filename_prefix=prefix))["2"]["images"]
    return images


@pytest.mark.parametrize(
    ("prefix", "subfolder", "filename"),
    [
        ("x", "", "x_00001_.png"),
        ("", "", "._00001_.png"),
        ("rec05/slash/", "rec05", "slash_00001_.png"),
        ("rec09/x/../y.z", "rec09", "y.z_00001_.png"),
        ("rec09/a b/ü/空 x", "rec09/a b/ü", "空 x_00001_.png"),
        ("%width%x%height%-%date:yyyy%", "", "16x12-%date:yyyy%_00001_.png"),
        ("%year%", "", f"{time.localtime().tm_year}_00001_.png"),
    ],
)
def test_names(runner: NodeRunner, prefix: str, subfolder: str, filename: str) -> None:
    assert save(runner, prefix) == [{"filename": filename, "subfolder": subfolder, "type": "output"}]
    assert (runner.output_dir / subfolder / filename).is_file()


def test_a_batch_is_numbered_through(runner: NodeRunner) -> None:
    names = [entry["filename"] for entry in save(runner, "b-%batch_num%", 2)]
    assert names == ["b-0_00001_.png", "b-1_00002_.png"]


def test_the_counter_goes_on_after_the_highest(runner: NodeRunner) -> None:
    for taken in ("n_00007_.png", "n_x_.png", "n_00009", "nn_00020_.png", "n_00003_.webp"):
        (runner.output_dir / taken).touch()
    assert save(runner, "n")[0]["filename"] == "n_00008_.png"


@pytest.mark.parametrize("prefix", ["../esc", "/etc/esc", "a/../../esc"])
def test_nothing_is_saved_outside(runner: NodeRunner, prefix: str) -> None:
    with pytest.raises(Exception, match="Saving image outside the output folder is not allowed") as caught:
        save(runner, prefix)
    assert type(caught.value) is Exception
    lines = str(caught.value).splitlines()
    assert re.match(r" full_output_folder: /", lines[1])
    assert lines[2] == f"         output_dir: {runner.output_dir}"
    assert lines[3].startswith("         commonpath: /")


@pytest.mark.parametrize(
    ("images", "error", "text"),
    [
        (None, TypeError, "'NoneType' object is not subscriptable"),
        ("1", AttributeError, "'str' object has no attribute 'shape'"),
    ],
)
def test_a_constant_in_place_of_a_link(runner: NodeRunner, images: Any, error: type[Exception], text: str) -> None:
    bad = {"1": {"class_type": "SaveImage", "inputs": {"images": images, "filename_prefix": "x"}}}
    with pytest.raises(error, match=text):
        runner.run(bad)


def test_png_metadata_is_the_prompt_and_then_the_rest(runner: NodeRunner) -> None:
    runner.extra_pnginfo = {"workflow": {"nodes": [], "id": "wf"}, "other": [1, 2]}
    path = runner.path(save(runner, "m")[0])
    with Image.open(path) as picture:
        assert list(picture.text) == ["prompt", "workflow", "other"]
        assert json.loads(picture.text["prompt"]) == runner.prompt
        assert json.loads(picture.text["other"]) == [1, 2]


def test_previews_keep_their_letters(runner: NodeRunner) -> None:
    outputs = [runner.run(workflow("PreviewImage"))["2"]["images"][0] for _ in range(2)]
    found = [re.fullmatch(r"ComfyUI_temp_([a-z]{5})_(\d{5})_\.png", entry["filename"]) for entry in outputs]
    assert [match and match[2] for match in found] == ["00001", "00002"]
    assert len({match and match[1] for match in found}) == 1
    assert {entry["type"] for entry in outputs} == {"temp"}
    assert all(runner.path(entry).is_file() for entry in outputs)


def test_previews_of_another_node_have_other_letters(runner: NodeRunner) -> None:
    twice = workflow("PreviewImage")
    twice["3"] = twice["2"]
    outputs = runner.run(twice)
    assert outputs["2"]["images"][0]["filename"][:18] != outputs["3"]["images"][0]["filename"][:18]


def test_socket_frames_count_from_zero(runner: NodeRunner) -> None:
    assert runner.run(workflow("SaveImageWebsocket", 2)) == {}
    assert runner.steps == [(0, 2), (1, 2)]
    assert [(kind, picture.size, limit) for kind, picture, limit in runner.frames] == [("PNG", (16, 12), None)] * 2


def test_webp_metadata_is_exif(runner: NodeRunner) -> None:
    runner.extra_pnginfo = {"workflow": 1, "other": 2}
    options = {"fps": 6.0, "lossless": True, "quality": 80, "method": "default"}
    ui = runner.run(workflow("SaveAnimatedWEBP", 1, filename_prefix="a", **options))["2"]
    assert ui["animated"] == [False]
    with Image.open(runner.path(ui["images"][0])) as picture:
        exif = picture.getexif()
    assert exif[EXIF_MODEL] == f"prompt:{json.dumps(runner.prompt)}"
    assert (exif[EXIF_MAKE], exif[EXIF_MAKE - 1]) == ("workflow:1", "other:2")


def test_equal_frames_still_count_as_animated(runner: NodeRunner) -> None:
    ui = runner.run(workflow("SaveAnimatedPNG", 4, filename_prefix="a", fps=6.0, compress_level=4))["2"]
    data = runner.path(ui["images"][0]).read_bytes()
    assert ui["animated"] == [True]
    assert b"acTL" not in data
    assert data.index(b"IDAT") < data.index(b"comfprompt\0{")


def test_latents_are_safetensors(runner: NodeRunner) -> None:
    latent = {
        "1": {"class_type": "EmptyLatentImage", "inputs": {"width": 65, "height": 64, "batch_size": 2}},
        "2": {"class_type": "SaveLatent", "inputs": {"samples": ["1", 0], "filename_prefix": "l"}},
    }
    data = runner.path(runner.run(latent)["2"]["latents"][0]).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    assert size % 8 == 0
    assert json.loads(header["__metadata__"]["prompt"]) == latent
    assert header["latent_tensor"] == {"dtype": "F32", "shape": [2, 4, 8, 8], "data_offsets": [0, 2048]}
    assert len(data) == 8 + size + 2048


def test_levels_are_truncated(runner: NodeRunner) -> None:
    nearly = {
        "1": {"class_type": "SolidMask", "inputs": {"value": 0.9999, "width": 1, "height": 1}},
        "2": {"class_type": "MaskToImage", "inputs": {"mask": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "t"}},
    }
    with Image.open(runner.path(runner.run(nearly)["3"]["images"][0])) as picture:
        assert picture.getpixel((0, 0)) == (254, 254, 254)
