"""Answers, history entries and frames of a real ComfyUI 0.3.64, trimmed: see tests/data/comfyui."""

import base64
import json
from pathlib import Path
from typing import Any

_DATA = Path(__file__).resolve().parents[1] / "data" / "comfyui"


def _load(name: str) -> Any:
    return json.loads((_DATA / name).read_text(encoding="utf-8"))


def rejections() -> dict[str, dict[str, Any]]:
    """By case: status, workflow and answer of a `POST /prompt` that was refused, wholly or in part."""
    return {item["case"]: item for item in _load("rejections.json")}


def history(file: str, case: str) -> tuple[str, dict[str, Any]]:
    """Prompt id and entry of the one recorded case of `file` (its two digits) that contains the text."""
    found = [item for item in _load("histories.json") if item["file"] == file and case in item["case"]]
    assert found, f"no recorded history {file} {case!r}"
    return found[0]["prompt_id"], found[0]["entry"]


def histories() -> list[dict[str, Any]]:
    return _load("histories.json")


def dead_worker_log() -> list[str]:
    """`GET /internal/logs/raw` after a prompt with a node without inputs: the worker thread is dead."""
    return [entry["m"] for entry in _load("dead_worker_log.json")["entries"]]


def frames(file: str) -> list[tuple[bool, bytes]]:
    """The first frame of each type in a recording: (binary, data)."""
    return [_frame(item) for item in _load("frames.json") if item["file"] == file]


def _frame(item: dict[str, Any]) -> tuple[bool, bytes]:
    if "b64" in item:
        return True, base64.b64decode(item["b64"])
    return False, item["text"].encode()
