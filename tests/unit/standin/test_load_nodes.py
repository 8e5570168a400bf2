"""LoadImage: which file a value means, what validation says before the run, when it runs again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError
from support.node_runner import NodeRunner

from api.standin.nodes import NODES
from api.standin.object_info import object_info


@pytest.fixture
def runner(tmp_path: Path) -> NodeRunner:
    return NodeRunner(tmp_path)


def picture(path: Path, color: Any = (10, 20, 30), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (4, 3), color).save(path)
    return path


def validate(runner: NodeRunner, value: Any) -> str | None:
    check = NODES["LoadImage"].validate
    assert check is not None
    return check(runner.input_dir, {"image": value})


def fingerprint(runner: NodeRunner, value: Any) -> Any:
    check = NODES["LoadImage"].fingerprint
    assert check is not None
    return check(runner.input_dir, {"image": value})


@pytest.mark.parametrize(
    ("value", "file"),
    [
        ("a.png", "input/a.png"),
        ("a/b/c.png", "input/a/b/c.png"),
        ("a.png [input]", "input/a.png"),
        ("t.png [temp]", "temp/t.png"),
        ("sub/o.png [output]", "output/sub/o.png"),
        ("odd [1].png", "input/odd [1].png"),
        ("odd [x]", "input/odd [x]"),
        ("../output/o.png", "output/o.png"),
    ],
)
def test_where_a_value_leads(runner: NodeRunner, tmp_path: Path, value: str, file: str) -> None:
    Image.new("RGB", (4, 3), (10, 20, 30)).save(_made(tmp_path / file), format="PNG")

    assert validate(runner, value) is None
    assert len(fingerprint(runner, value)) == 64
    assert runner.value("LoadImage", image=value).shape == (1, 3, 4, 3)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize(
    "value", ["nope.png", "a\n.png", "nope.png [output]", "nope/" + "x" * 300, "nul\0.png", "../x"]
)
def test_a_missing_file_is_told_before_the_run(runner: NodeRunner, value: str) -> None:
    assert validate(runner, value) == f"Invalid image file: {value}"


@pytest.mark.parametrize(("value", "kind"), [(123, "int"), (None, "NoneType"), (["x"], "list")])
def test_odd_values_fail_as_recorded(runner: NodeRunner, value: Any, kind: str) -> None:
    with pytest.raises(AttributeError, match=f"^'{kind}' object has no attribute 'endswith'$"):
        validate(runner, value)


def test_links_are_not_checked(runner: NodeRunner) -> None:
    check = NODES["LoadImageMask"].validate
    assert check is not None
    assert check(runner.input_dir, {"image": ["3", 0], "channel": "red"}) is None
    assert check(runner.input_dir, {"channel": "red"}) is None


def test_moved_directories_are_not_guessed_at(tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere" / "input"
    alone.mkdir(parents=True)
    check = NODES["LoadImage"].validate
    assert check is not None
    assert check(alone, {"image": "o.png [output]"}) is None


def test_the_fingerprint_follows_the_content(runner: NodeRunner) -> None:
    path = picture(runner.input_dir / "a.png")
    before = fingerprint(runner, "a.png")
    path.touch()
    assert fingerprint(runner, "a.png") == before
    picture(path, (1, 2, 3))
    assert fingerprint(runner, "a.png") != before


def test_what_is_no_picture_fails_when_it_runs(runner: NodeRunner) -> None:
    path = runner.input_dir / "notimg.txt"
    path.write_text("text")
    assert validate(runner, "notimg.txt") is None
    with pytest.raises(UnidentifiedImageError, match=f"^cannot identify image file '{path}'$"):
        runner.value("LoadImage", image="notimg.txt")


def test_a_palette_with_transparency_gives_a_mask(runner: NodeRunner) -> None:
    indexed = Image.new("P", (2, 1))
    indexed.putpalette([0, 0, 0, 255, 0, 0])
    indexed.putpixel((1, 0), 1)
    indexed.save(runner.input_dir / "p.png", transparency=0)
    masks = runner.run(
        {
            "1": {"class_type": "LoadImage", "inputs": {"image": "p.png"}},
            "2": {"class_type": "MaskToImage", "inputs": {"mask": ["1", 1]}},
            "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
        }
    )
    with Image.open(runner.path(masks["3"]["images"][0])) as shown:
        assert np.asarray(shown)[0, :, 0].tolist() == [255, 0]


def test_object_info_lists_the_files_there_are(runner: NodeRunner) -> None:
    for name in ("b.png", "a.jpg"):
        (runner.input_dir / name).touch()
    (runner.input_dir / "folder").mkdir()
    told = object_info(NODES, runner.input_dir)
    assert set(told) == set(NODES)
    assert told["LoadImage"]["input"]["required"]["image"] == [["a.jpg", "b.png"], {"image_upload": True}]
    assert told["LoadImageMask"]["input"]["required"]["image"][0] == ["a.jpg", "b.png"]
    assert NODES["LoadImage"].info["input"]["required"]["image"][0] == []


def test_object_info_without_an_input_directory(tmp_path: Path) -> None:
    told = object_info(NODES, tmp_path / "none")
    assert told["LoadImage"]["input"]["required"]["image"][0] == []
