"""Writes named workflows for tests, the way people have them: folders and files of JSON."""

import json
from pathlib import Path
from typing import Any

# Runs on any ComfyUI: a picture in, its negative out.
TEMPLATE: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "image.png"}},
    "2": {"class_type": "ImageScale", "inputs": {
        "image": ["1", 0], "upscale_method": "nearest-exact", "width": 8, "height": 8, "crop": "disabled",
    }},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "out"}},
}  # fmt: skip
IMAGE: dict[str, Any] = {"type": "image", "target": "1.image"}
WIDTH: dict[str, Any] = {"type": "integer", "target": "2.width", "minimum": 1, "maximum": 64}


def manifest(**fields: Any) -> dict[str, Any]:
    return {"title": "Shrink", "inputs": {"image": IMAGE, "width": {**WIDTH, "default": 8}}, **fields}


def write_folder(
    root: Path, name: str = "shrink", about: dict[str, Any] | None = None, template: dict[str, Any] | None = None
) -> Path:
    """A workflow as a folder; the folder."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "workflow.json").write_text(json.dumps(template or TEMPLATE))
    (folder / "manifest.json").write_text(json.dumps(about or manifest()))
    return folder
