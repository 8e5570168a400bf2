"""What nodes tell about themselves: the recorded object_info of ComfyUI's own nodes, and GET /object_info."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .node_types import NodeClass

# Copied from a real 0.3.64, trimmed to what is implemented here. Lists of input files are empty in it.
RECORDED: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
_WITH_FILES = ("LoadImage", "LoadImageMask")


def object_info(nodes: Mapping[str, NodeClass], input_dir: Path) -> dict[str, Any]:
    """Every node's entry, with the files that are in the input directory now."""
    files = sorted(path.name for path in input_dir.iterdir() if path.is_file()) if input_dir.is_dir() else []
    return {name: _with_files(node.info, files) for name, node in nodes.items()}


def _with_files(info: dict[str, Any], files: list[str]) -> dict[str, Any]:
    if info["name"] not in _WITH_FILES:
        return info
    required = info["input"]["required"]
    image = [files, *required["image"][1:]]
    return info | {"input": info["input"] | {"required": required | {"image": image}}}
