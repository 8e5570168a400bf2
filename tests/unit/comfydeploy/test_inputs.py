"""Inputs of runs: by name, of the right type, files on their way."""

from pathlib import Path
from typing import Any

import pytest

from api.comfydeploy.inputs import bound, checked, types_of
from api.comfydeploy.rows import InputType
from api.errors import InvalidInput
from api.jobs.ports import InputFile


def kind(word: str, class_type: str = "", **fields: Any) -> InputType:
    return InputType("x", word, f"ComfyUIDeployExternal{class_type}", **{"default": 1, **fields})


@pytest.mark.parametrize(
    ("type_", "value", "result"),
    [
        (kind("string"), "a", "a"),
        (kind("integer"), 3.0, 3),
        (kind("integer", minimum=0, maximum=9), 9, 9),
        (kind("float"), 3, 3),
        (kind("boolean"), False, False),
        (kind("enum", options=("a", "b")), "b", "b"),
        (kind("array"), [1, "x"], [1, "x"]),
        (kind("string", "Image"), "https://x/y.png", "https://x/y.png"),
        (kind("string", "Image"), "data:image/png;base64,AA", "data:image/png;base64,AA"),
        (kind("a new word"), ["x"], ["x"]),
    ],
)
def test_what_fits(type_: InputType, value: Any, result: Any) -> None:
    assert checked([type_], {"x": value}) == {"x": result}


@pytest.mark.parametrize(
    ("type_", "value", "code"),
    [
        (kind("string"), 3, "wrong_type"),
        (kind("integer"), 3.5, "wrong_type"),
        (kind("integer"), True, "wrong_type"),
        (kind("integer"), "3", "wrong_type"),
        (kind("integer", minimum=0), -1, "too_small"),
        (kind("float", minimum=0, maximum=1), 2, "too_large"),
        (kind("float"), False, "wrong_type"),
        (kind("boolean"), 1, "wrong_type"),
        (kind("enum", options=("a",)), "b", "unknown_value"),
        (kind("array"), [{}], "wrong_type"),
        (kind("string", "Image"), "picture.png", "wrong_type"),
        (kind("a new word"), {}, "wrong_type"),
    ],
)
def test_what_does_not(type_: InputType, value: Any, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked([type_], {"x": value})
    assert refused.value.details[0]["code"] == code
    assert refused.value.details[0]["field"] == "deployment.inputs.x"


def test_all_that_is_wrong_is_told_at_once() -> None:
    types = [InputType("prompt", "string"), InputType("seed", "integer", default=1)]
    with pytest.raises(InvalidInput) as refused:
        checked(types, {"promt": "x", "seed": "y"})
    told = {detail["field"].rpartition(".")[2]: detail for detail in refused.value.details}
    assert {name: detail["code"] for name, detail in told.items()} == {
        "promt": "unknown_input",
        "seed": "wrong_type",
        "prompt": "missing",
    }
    assert told["promt"]["nearest"] == ["prompt"]
    # Null is the same as absent.
    assert checked(types, {"prompt": "x", "seed": None}) == {"prompt": "x"}


def test_files_are_uploaded_where_they_are_named() -> None:
    types = [InputType("image", "string", "ComfyUIDeployExternalImage"), InputType("all", "array")]
    file = InputFile("a.png", Path("a.png"), "image/png", 1, "")
    sent: list[str] = []

    def upload(given: InputFile) -> str:
        sent.append(given.name)
        return "https://files/1"

    given = {"image": "a.png", "all": ["a.png", "b"]}
    assert bound(types, given, [file], upload) == {"image": "https://files/1", "all": ["https://files/1", "b"]}
    assert sent == ["a.png"]


def test_types_of_a_graph_without_a_deployment() -> None:
    graph = {
        "1": {"class_type": "ComfyUIDeployExternalNumberInt", "inputs": {"input_id": "n", "default_value": 2}},
        "2": {"class_type": "ComfyUIDeployExternalImage", "inputs": {"input_id": "photo"}},
        "3": {"class_type": "KSampler", "inputs": {"input_id": "no"}},
        "4": {"class_type": "ComfyUIDeployExternalText", "inputs": 7},
    }
    number, photo = types_of(graph)
    assert (number.name, number.kind, number.is_required) == ("n", "integer", False)
    assert photo.is_file and photo.is_required
