"""A graph of ComfyUI Deploy made into one any ComfyUI runs: its external nodes become what they stand for.

Facts from the plugin comfyui-deploy as of late 2025. Nodes that are not known here stay; they need the plugin.
"""

import copy
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ..errors import Detail, InvalidInput
from ..jobs.quoting import quote

Graph = dict[str, dict[str, Any]]
_EXTERNAL = "ComfyUIDeployExternal"
_FILES = frozenset({"Image", "ImageAlpha"})
_NAMES = frozenset({"Checkpoint", "Lora"})
_SAVES_IMAGE, _SAVES_TEXT = "ComfyDeployOutputImage", "ComfyDeployOutputText"
# Samplers whose noise the plugin makes new each run; of `seed` it does so everywhere.
_NOISY = frozenset({"RandomNoise", "KSamplerAdvanced", "SamplerCustom", "XlabsSampler"})
_MOST_SEED = 10**15
_URLS = ("http://", "https://", "data:")


def _whole(value: Any) -> int:
    try:
        # Not by way of a float: seeds are too large for it.
        return int(value)
    except ValueError:
        return int(float(value))


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("JSON has no such number")
    return number


def _truth(value: Any) -> bool:
    return value.strip().lower() in {"true", "1", "yes"} if isinstance(value, str) else bool(value)


def _same(value: Any) -> Any:
    return value


# What each kind of external node gives to those linked to it.
_LITERALS: Mapping[str, Callable[[Any], Any]] = {
    "Text": str,
    "TextAny": str,
    "Number": _finite,
    "NumberSlider": _finite,
    "NumberInt": _whole,
    "NumberSliderInt": _whole,
    "Seed": _whole,
    "Boolean": _truth,
    "Enum": _same,
    "Checkpoint": str,
    "Lora": str,
}


@dataclass
class Translated:
    """`images` are entries of a job's images: files the graph loads by name.

    `values` are what nodes that are no longer there stand for, by their ids.
    """

    graph: Graph
    images: list[dict[str, str]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def value(self, linked: Any) -> Any:
        """What an input comes to: another link, or a value. Nodes that are gone may have been linked to one another."""
        for _ in range(len(self.values)):
            if not _is_link(linked) or str(linked[0]) not in self.values:
                break
            linked = self.values[str(linked[0])]
        return linked


def translate(raw: Mapping[str, Any], inputs: Mapping[str, Any], ui: Any = None) -> Translated:
    """The graph with the inputs in it. `ui` is the editor's form, which says which seeds stay. Raises InvalidInput."""
    graph: Graph = {str(key): copy.deepcopy(node) for key, node in raw.items() if isinstance(node, dict)}
    for node in graph.values():
        if not isinstance(node.get("inputs"), dict):
            node["inputs"] = {}
    done = Translated(graph)
    _new_seeds(graph, _fixed(ui))
    for node_id, node in list(graph.items()):
        word = str(node.get("class_type", "")).removeprefix(_EXTERNAL)
        if word != node.get("class_type"):
            _external(done, node_id, node, word, inputs)
    for node_id in done.values:
        del graph[node_id]
    for node in graph.values():
        node["inputs"] = {name: done.value(linked) for name, linked in node["inputs"].items()}
        _plain_output(node)
    return done


def _external(done: Translated, node_id: str, node: dict[str, Any], word: str, inputs: Mapping[str, Any]) -> None:
    given = node["inputs"]
    name = given.get("input_id")
    value = inputs.get(name) if isinstance(name, str) else None
    if word in _FILES:
        _file(done, node_id, node, value, name)
    elif word in _LITERALS:
        fallback = given.get("default_lora_name" if word == "Lora" else "default_value")
        value = fallback if value is None else value
        if word == "Seed" and value is None:
            value = secrets.randbelow(_MOST_SEED)
        done.values[node_id] = value if _is_link(value) else _literal(word, value, name)
    elif value is not None:
        # Stays as it is, for a ComfyUI that has the plugin.
        given |= {"input_id": value, "default_value": value}


def _literal(word: str, value: Any, name: Any) -> Any:
    if word in _NAMES and isinstance(value, str) and value.startswith(_URLS):
        message = f"The input {quote(str(name))} is a model by URL: put the file on this machine and give its name."
        raise InvalidInput(message, [Detail(field=f"inputs.{name}", code="model_url", message=message)])
    try:
        return _LITERALS[word](value)
    except (TypeError, ValueError, OverflowError):
        message = f"The input {quote(str(name))} is not what a {word} node takes."
        raise InvalidInput(message, [Detail(field=f"inputs.{name}", code="wrong_type", message=message)]) from None


def _file(done: Translated, node_id: str, node: dict[str, Any], value: Any, name: Any) -> None:
    given = node["inputs"]
    value = value or given.get("default_value_url")
    if not value and _is_link(given.get("default_value")):
        done.values[node_id] = given["default_value"]
        return
    if not isinstance(value, str) or not value.startswith(_URLS):
        message = f"The input {quote(str(name))} needs an image as a URL."
        raise InvalidInput(message, [Detail(field=f"inputs.{name}", code="missing", message=message)])
    suffix = "" if value.startswith("data:") else PurePosixPath(urlsplit(value).path).suffix[:10]
    file_name = f"deploy-{node_id}{suffix if suffix.isascii() else ''}"
    done.images.append({"name": file_name, "image": value})
    node |= {"class_type": "LoadImage", "inputs": {"image": file_name}}


def _plain_output(node: dict[str, Any]) -> None:
    given = node["inputs"]
    if node.get("class_type") == _SAVES_IMAGE:
        prefix = given.get("filename_prefix") or "ComfyUI"
        node |= {"class_type": "SaveImage", "inputs": {"images": given.get("images"), "filename_prefix": prefix}}
    elif node.get("class_type") == _SAVES_TEXT:
        node |= {"class_type": "PreviewAny", "inputs": {"source": given.get("text")}}


def _new_seeds(graph: Graph, fixed: frozenset[str]) -> None:
    for node_id, node in graph.items():
        given = node["inputs"]
        if _is_seed(given.get("seed")) and node_id not in fixed and not _is_external(node):
            given["seed"] = secrets.randbelow(_MOST_SEED)
        if _is_seed(given.get("noise_seed")) and node.get("class_type") in _NOISY:
            given["noise_seed"] = secrets.randbelow(_MOST_SEED)


def _fixed(ui: Any) -> frozenset[str]:
    """The samplers whose seed the author has fixed in the editor."""
    nodes = ui.get("nodes") if isinstance(ui, dict) else None
    found = set()
    for node in nodes if isinstance(nodes, list) else ():
        widgets = node.get("widgets_values") if isinstance(node, dict) and node.get("type") == "KSampler" else None
        if isinstance(widgets, list) and len(widgets) > 1 and widgets[1] == "fixed":
            found.add(str(node.get("id")))
    return frozenset(found)


def _is_external(node: Mapping[str, Any]) -> bool:
    return str(node.get("class_type", "")).startswith(_EXTERNAL)


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int) and isinstance(value[1], int)
