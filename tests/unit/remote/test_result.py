"""What a result dict from elsewhere is taken for: this worker's, worker-comfyui's, and what makes no sense."""

from typing import Any

import pytest

from api.errors import ComfyDied, ExecutionFailed, OutOfVram
from api.jobs.ports import OutputText
from api.remote.failures import text_of
from api.remote.result import read, seconds


def test_entries_of_worker_comfyui_have_no_more_than_name_and_content() -> None:
    result = read({"images": [{"filename": "a.png", "type": "base64", "data": "QUJD"}], "errors": ["Node 3: odd"]})
    (file,) = result.files
    assert (file.filename, file.subfolder, file.node_id, file.reused, file.sha256) == ("a.png", "", "", False, None)
    assert result.warnings == ({"message": "Node 3: odd"},)
    assert result.failure is None


def test_files_keep_their_order_within_node_and_list() -> None:
    entries = [{"filename": f"{n}.png", "type": "url", "data": "http://x/", "node_id": "7"} for n in range(3)]
    video = {"filename": "v.mp4", "type": "url", "data": "http://x/", "node_id": "7"}
    result = read({"images": entries, "videos": [video]})
    assert [(file.filename, file.key, file.index) for file in result.files] == [
        ("0.png", "images", 0),
        ("1.png", "images", 1),
        ("2.png", "images", 2),
        ("v.mp4", "videos", 0),
    ]


def test_texts_come_back_as_they_were() -> None:
    entry = {"filename": "9:1_some_key_12.txt", "type": "text", "data": "seven", "node_id": "9:1", "cached": True}
    assert read({"text": [entry]}).texts == (OutputText("9:1", "some_key", 12, "seven", True),)


def test_what_becomes_a_name_or_a_header_is_plain() -> None:
    odd = {"filename": "../../etc/x_0.txt", "node_id": "../..", "data": "t"}
    long = {"filename": f"1_x_{'9' * 5000}.txt", "node_id": ["1"], "data": "t"}
    assert read({"text": [odd, long]}).texts == (
        OutputText("", "text", 0, "t", False),
        OutputText("", "text", 1, "t", False),
    )
    entry = {"filename": "a.bin", "data": "QUJD", "node_id": {"a": 1}}
    for mime_type in ("text/html\r\nSet-Cookie: a=b", "x" * 300, {"a": 1}, None):
        (file,) = read({"files": [entry | {"mime_type": mime_type}]}).files
        assert (file.mime_type, file.node_id) == ("application/octet-stream", "")
    (file,) = read({"files": [entry | {"mime_type": "model/gltf-binary"}]}).files
    assert file.mime_type == "model/gltf-binary"


def test_facts_are_few_and_short() -> None:
    receipt = {"comfyui_version": "0.3.64", "device": "z" * 1000, "job_id": "theirs", "more": {"a": [1]}, "vram": 24}
    assert read({"receipt": receipt}).facts == {"comfyui_version": "0.3.64", "vram": 24}


@pytest.mark.parametrize("told", [None, "5", -1, 10**400, float("nan"), float("inf"), [1]])
def test_a_time_that_is_none_is_not_taken(told: Any) -> None:
    assert seconds(told) is None


def test_of_a_failure_with_outputs_the_warnings_are_told_apart() -> None:
    said = {
        "error": "out of memory",
        "code": "OUT_OF_VRAM",
        "details": [{"node_id": "3", "code": "oom"}, {"node_id": "4", "code": "left_out", "message": "late"}],
        "errors": ["late"],
        "images": [{"filename": "a.png", "type": "base64", "data": "QUJD"}],
    }
    result = read(said)
    assert isinstance(result.failure, OutOfVram)
    assert result.failure.details == [{"node_id": "3", "code": "oom"}]
    assert result.warnings == ({"node_id": "4", "code": "left_out", "message": "late"},)


@pytest.mark.parametrize(("code", "kind"), [("COMFY_DIED", ComfyDied), ("SOMETHING_NEW", ExecutionFailed)])
def test_the_code_says_what_kind_of_failure_it_is(code: str, kind: type) -> None:
    assert type(read({"code": code}, "gone").failure) is kind


@pytest.mark.parametrize(
    "entry",
    [
        {"filename": "../a.png", "type": "base64", "data": "QUJD"},
        {"filename": "a.png", "subfolder": "/etc", "type": "base64", "data": "QUJD"},
        {"filename": 7, "type": "base64", "data": "QUJD"},
        {"filename": "a.png", "type": "base64"},
    ],
)
def test_an_entry_that_makes_no_sense_is_told_of(entry: dict[str, Any]) -> None:
    result = read({"images": [entry, "no entry"]})
    assert result.files == ()
    assert [warning["code"] for warning in result.warnings] == ["output_missing"]


def test_of_a_preview_the_file_itself_is_known() -> None:
    original = {"filename": "big.png", "type": "s3_url", "data": "https://s3/big.png", "sha256": "ab"}
    entry = {"filename": "big.webp", "type": "base64", "data": "QUJD", "subfolder": "x", "original": original}
    (file,) = read({"images": [entry]}).files
    assert file.whole is not None
    assert (file.whole.filename, file.whole.subfolder, file.whole.type) == ("big.png", "x", "s3_url")


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("It broke.", "It broke."),
        ('{"error_type": "X", "error_message": "boom", "error_traceback": "File /x"}', "boom"),
        ({"message": "odd"}, "odd"),
        (None, "The job failed without saying why."),
        ("see https://s3/x?X-Amz-Signature=abcdefgh", "see https://s3/x?***"),
    ],
)
def test_the_text_of_an_error(said: Any, text: str) -> None:
    assert text_of(said) == text
