"""The choices of inputs: those of somebody's own are told to nobody."""

import copy
from typing import Any

from api.comfyui.choices import without_private

PRIVATE = "0f" * 16


def test_files_in_folders_of_jobs_are_left_out_of_a_definition() -> None:
    node: dict[str, Any] = {
        "input": {
            "required": {
                "image": [["a.png", f"{PRIVATE}/b.png", "faces/c.png"], {"image_upload": True}],
                "other": ["COMBO", {"options": [f"{PRIVATE}/d.png", "e.png", 3], "default": "e.png"}],
                "seed": ["INT", {"default": 0}],
            },
            "hidden": {"prompt": "PROMPT"},
        },
        "name": "Load",
    }
    before = copy.deepcopy(node)
    required = without_private(node)["input"]["required"]
    assert required["image"] == [["a.png", "faces/c.png"], {"image_upload": True}]
    assert required["other"] == ["COMBO", {"options": ["e.png", 3], "default": "e.png"}]
    assert required["seed"] == ["INT", {"default": 0}]
    assert node == before


def test_what_is_no_definition_stays_as_it_is() -> None:
    for odd in (None, [], {"input": None}, {"input": {"required": ["x"]}}, {"input": {"required": {"a": None}}}):
        assert without_private(odd) == odd
