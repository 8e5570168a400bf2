"""The first draft of a manifest, guessed from an exported workflow: what it may take, and what it makes."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import InvalidInput
from ..jobs.ports import Workflow
from ..ordering import natural_key
from .facts import models
from .graph import check
from .input_kinds import AUDIO, IMAGE, VIDEO
from .links import is_link, links_of, parents_of
from .manifest import RESERVED_INPUTS

# (class, input) of nodes that load a file, and what kind it is.
_LOADERS = {
    ("LoadImage", "image"): IMAGE,
    ("LoadImageMask", "image"): IMAGE,
    ("LoadVideo", "file"): VIDEO,
    ("VHS_LoadVideo", "video"): VIDEO,
    ("LoadAudio", "audio"): AUDIO,
    ("VHS_LoadAudioUpload", "audio"): AUDIO,
}
# Nodes that take a picture as base64 in the workflow; LoadImage has the same outputs, and files are sent beside it.
_INLINE_LOADERS = frozenset({"ETN_LoadImageBase64", "LoadImageBase64"})
_SAVERS = re.compile(r"Save|VideoCombine|Output")
_SEEDS = ("seed", "noise_seed")
_PROMPTS = {"positive": "prompt", "negative": "negative_prompt"}
_TEXTS = ("text", "prompt", "value")
_WORD = re.compile(r"[a-z0-9]+")
# Inputs that callers want to change, wherever they are.
_NUMBERS: Mapping[str, dict[str, Any]] = {
    "steps": {"type": "integer", "minimum": 1, "maximum": 150},
    "cfg": {"type": "number", "minimum": 0, "maximum": 100},
    "guidance": {"type": "number", "minimum": 0, "maximum": 100},
    "denoise": {"type": "number", "minimum": 0, "maximum": 1},
    "width": {"type": "integer", "minimum": 0, "maximum": 16384},
    "height": {"type": "integer", "minimum": 0, "maximum": 16384},
    "length": {"type": "integer", "minimum": 1, "maximum": 16384},
    "scale_by": {"type": "number", "minimum": 0.01, "maximum": 8},
}
_PRIMITIVES: Mapping[str, dict[str, Any]] = {
    "PrimitiveInt": {"type": "integer"},
    "PrimitiveFloat": {"type": "number"},
    "PrimitiveBoolean": {"type": "boolean"},
    "PrimitiveString": {"type": "string"},
    "PrimitiveStringMultiline": {"type": "string"},
}


def draft(document: object, title: str = "") -> tuple[dict[str, Any], Workflow]:
    """The manifest as JSON and the template. Raises InvalidInput for what is no workflow in API format."""
    template = _with_loaders(check(document))
    inputs: dict[str, Any] = {}
    for name, target, found in _guesses(template):
        _add(inputs, name, target, found)
    manifest: dict[str, Any] = {"title": title, "description": "", "inputs": inputs, "result": _result(template)}
    needed = [each["name"] for each in models(template)]
    if needed:
        manifest["requires"] = {"models": list(dict.fromkeys(needed))}
    return manifest, template


def _with_loaders(template: Workflow) -> Workflow:
    """Nodes with base64 in them give way to LoadImage."""
    loader = {"class_type": "LoadImage", "inputs": {"image": "image.png"}}
    return {
        node_id: {**node, **loader} if node["class_type"] in _INLINE_LOADERS else node
        for node_id, node in template.items()
    }


def _guesses(template: Workflow) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, target, the rest of the input) in the order of the nodes; files and prompts first."""
    node_ids = sorted(template, key=natural_key)
    for guess in (_file, _prompt, _primitive, _number):
        for node_id in node_ids:
            for name in template[node_id]["inputs"]:
                found = guess(template, node_id, name)
                if found:
                    yield found[0], f"{node_id}.{name}", found[1]


Guess = tuple[str, dict[str, Any]] | None


def _file(template: Workflow, node_id: str, name: str) -> Guess:
    node = template[node_id]
    kind = _LOADERS.get((node["class_type"], name))
    if kind is None or is_link(node["inputs"][name]):
        return None
    plain = "mask" if node["class_type"].endswith("Mask") else kind
    return _titled(node, plain), {"type": kind}


def _prompt(template: Workflow, node_id: str, name: str) -> Guess:
    node = template[node_id]
    value = node["inputs"][name]
    if name not in _TEXTS or not isinstance(value, str) or "Text" not in node["class_type"]:
        return None
    role = _role(template, node_id)
    return _PROMPTS.get(role, _titled(node, "text")), {"type": "string", "default": value}


def _primitive(template: Workflow, node_id: str, name: str) -> Guess:
    node = template[node_id]
    kind = _PRIMITIVES.get(node["class_type"])
    if kind is None or name != "value" or is_link(node["inputs"][name]):
        return None
    role = _role(template, node_id) if kind["type"] == "string" else ""
    return _PROMPTS.get(role, _titled(node, kind["type"])), {**kind, "default": node["inputs"][name]}


def _number(template: Workflow, node_id: str, name: str) -> Guess:
    value = template[node_id]["inputs"][name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if name in _SEEDS:
        return "seed", {"type": "seed"}
    kind = _NUMBERS.get(name)
    if kind is None or (kind["type"] == "integer" and not isinstance(value, int)):
        return None
    # Whatever the export has is sound.
    low, high = min(kind["minimum"], value), max(kind["maximum"], value)
    return name, {**kind, "minimum": low, "maximum": high, "default": value}


def _role(template: Workflow, node_id: str) -> str:
    """What the node's output is used as in the end: positive, negative or nothing known."""
    waiting, seen = [node_id], {node_id}
    while waiting:
        current = waiting.pop(0)
        for user, node in template.items():
            for name, parent, _ in links_of(node):
                if parent != current:
                    continue
                if name in _PROMPTS:
                    return name
                if user not in seen:
                    seen.add(user)
                    waiting.append(user)
    return ""


def _titled(node: Mapping[str, Any], plain: str) -> str:
    """The node's title as a name when somebody gave it one, else `plain`."""
    title = node.get("_meta", {}).get("title")
    words = _WORD.findall(title.lower()) if isinstance(title, str) else []
    own = "".join(words)
    # Titles that ComfyUI gives by itself are the name of the class, in words.
    classes = {node["class_type"].lower(), plain, f"load{plain}", "cliptextencodeprompt"}
    if not words or own in classes or own in node["class_type"].lower() or node["class_type"].lower() in own:
        return plain
    name = "_".join(words)[:40].strip("_")
    return name if name[0].isalpha() and name not in RESERVED_INPUTS else f"{plain}_{name}"[:60]


def _add(inputs: dict[str, Any], name: str, target: str, found: dict[str, Any]) -> None:
    """One seed for all nodes; other inputs of one name are numbered."""
    if name == "seed" and name in inputs:
        inputs[name]["target"] = [*_listed(inputs[name]["target"]), target]
        return
    number, free = 1, name
    while free in inputs:
        number += 1
        free = f"{name}_{number}"
    inputs[free] = {"type": found["type"], "target": target, **found}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _result(template: Workflow) -> str:
    """The node that saves, or the last one. Raises InvalidInput when nothing ends the workflow."""
    used = {parent for node_id in template for parent in parents_of(template, node_id)}
    ends = sorted((node_id for node_id in template if node_id not in used), key=natural_key)
    if not ends:
        raise InvalidInput("The workflow ends nowhere: add a node that saves its result.")
    savers = [node_id for node_id in ends if _SAVERS.search(template[node_id]["class_type"])]
    return (savers or ends)[0]
