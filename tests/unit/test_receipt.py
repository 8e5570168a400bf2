"""A receipt says how outputs were made, in bounded room."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from api.jobs.ports import InputFile, RunOutcome
from api.jobs.request import JobRequest, Limits, parse
from api.receipt import make_receipt

WORKFLOW: dict[str, Any] = {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}


def requested() -> JobRequest:
    return parse({"id": "j", "input": {"workflow": WORKFLOW, "timeout_s": 5, "output_format": "webp"}}, Limits())


def files(tmp_path: Path, *sizes: int) -> tuple[InputFile, ...]:
    made = []
    for number, size in enumerate(sizes):
        path = tmp_path / str(number)
        path.write_bytes(bytes([number]) * size)
        made.append(InputFile(f"{number}.png", path, "image/png", size, "0" * 64))
    return tuple(made)


def receipt(inputs: tuple[InputFile, ...], max_bytes: int = 100_000) -> dict[str, Any]:
    made = make_receipt(requested(), WORKFLOW, inputs, RunOutcome((), (), facts={"device": "cpu"}), max_bytes)
    assert len(json.dumps(made)) <= max_bytes + 1000
    return made


def test_a_receipt_holds_an_input_that_can_be_sent_as_it_stands(tmp_path):
    made = receipt(files(tmp_path, 30, 40))
    assert "left_out" not in made
    assert made["device"] == "cpu"
    again = parse({"input": made["input"]}, Limits())
    assert again.workflow == WORKFLOW
    assert [base64.b64decode(image.source) for image in again.images] == [b"\0" * 30, b"\1" * 40]
    assert (again.timeout_s, again.output.format) == (5, "webp")


def test_the_largest_files_are_left_out_and_named(tmp_path):
    made = receipt(files(tmp_path, 90_000, 100, 60_000), max_bytes=100_000)
    assert made["left_out"] == ["0.png"]
    assert ["image" in entry for entry in made["input"]["images"]] == [False, True, True]
    assert made["input"]["images"][0] == {"name": "0.png", "sha256": "0" * 64, "size_bytes": 90_000}


def test_a_huge_file_is_not_even_read(tmp_path):
    (huge,) = files(tmp_path, 10)
    gone = InputFile(huge.name, tmp_path / "gone", huge.mime_type, 10**12, huge.sha256)
    assert receipt((gone,))["left_out"] == ["0.png"]


@pytest.mark.parametrize("max_bytes", [0, 200])
def test_without_room_for_the_workflow_there_is_still_its_hash(max_bytes, tmp_path):
    made = receipt(files(tmp_path, 10), max_bytes)
    assert made["left_out"] == ["input"]
    assert len(made["workflow_sha256"]) == 64
