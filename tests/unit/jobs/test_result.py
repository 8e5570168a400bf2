"""The result dict: worker-comfyui's shape first, strict JSON always."""

import json
import math
from pathlib import Path

from api.errors import Detail, ExecutionFailed, InvalidInput
from api.jobs.ports import Delivered, DeliveredFile, OutputFile, OutputText
from api.jobs.result import failure, success


def delivered(filename: str, mime_type: str, **more: object) -> DeliveredFile:
    file = OutputFile("9", "images", 0, filename, "", "output", False, Path(filename), mime_type, 3, "abc")
    return DeliveredFile(file, Delivered("base64", "AAAA"), **more)  # type: ignore[arg-type]


def test_a_picture_comes_as_worker_comfyui_gives_it() -> None:
    result = success([delivered("a.png", "image/png", width=4, height=5)], [], [])
    entry = result["images"][0]
    assert {key: entry[key] for key in ("filename", "type", "data")} == {
        "filename": "a.png",
        "type": "base64",
        "data": "AAAA",
    }
    assert (entry["width"], entry["height"], entry["cached"]) == (4, 5, False)
    assert "errors" not in result


def test_media_types_choose_the_list_and_not_comfyuis_key() -> None:
    files = [
        delivered("a.mp4", "video/mp4"),
        delivered("a.flac", "audio/flac"),
        delivered("a.glb", "model/gltf-binary"),
    ]
    result = success(files, [], [])
    assert result["images"] == []
    assert [len(result[name]) for name in ("videos", "audio", "files")] == [1, 1, 1]


def test_nothing_at_all_is_success_no_images() -> None:
    assert success([], [], []) == {"status": "success_no_images", "images": []}


def test_text_only_is_not_success_no_images() -> None:
    result = success([], [OutputText("4", "text", 0, "HELLO", False)], [])
    assert result["text"][0]["data"] == "HELLO"
    assert "status" not in result


def test_warnings_are_told_as_strings_and_as_details() -> None:
    result = success([], [], [Detail(node_id="3", code="x", message="left out")])
    assert result["errors"] == ["left out"]
    assert result["details"] == [{"node_id": "3", "code": "x", "message": "left out"}]


def test_a_failure_has_code_and_details() -> None:
    result = failure(InvalidInput("no workflow", [Detail(field="workflow", message="missing")]))
    assert result == {
        "error": "no workflow",
        "code": "INVALID_INPUT",
        "retryable": False,
        "details": [{"field": "workflow", "message": "missing"}],
    }


def test_a_failure_carries_what_was_made_before_it() -> None:
    partial = success([delivered("a.png", "image/png")], [], [])
    result = failure(ExecutionFailed("node 5 failed"), partial)
    assert result["code"] == "EXECUTION_FAILED"
    assert len(result["images"]) == 1


def test_what_comfyui_says_is_made_strict_json() -> None:
    odd = Detail(message="bad \ud800 surrogate", received={"value": math.nan, "list": [math.inf, 1]})
    result = failure(ExecutionFailed("x \udfff"), success([], [OutputText("1", "text", 0, "\ud800", False)], [odd]))
    encoded = json.dumps(result, allow_nan=False, ensure_ascii=False).encode()
    assert b"NaN" not in encoded
