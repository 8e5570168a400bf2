"""A workflow as SaladTechnologies' comfyui-api takes it. Facts about it are those of 1.18.0.

It reads input files from the graph itself, and of the outputs only what lies in ComfyUI's output folder, not below.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import Detail, InvalidWorkflow
from ..jobs.ports import Workflow
from ..jobs.quoting import cut, listed, quote
from ..workflows import graph

_PREFIX = "filename_prefix"
_IN_INPUT = " [input]"
# Inputs whose text it takes for a file; `image` everywhere but in nodes that save.
_VIDEO_CLASSES = frozenset(
    {"LoadVideo", "VHS_LoadVideo", "VHS_LoadVideoPath", "VHS_LoadVideoFFmpegPath", "VHS_LoadVideoFFmpeg"}
)
_MARK = re.compile(r"n(\d+)_(.+)")


@dataclass(frozen=True, slots=True)
class Origin:
    """Which node a file comes from, and the subfolder that its caller wanted."""

    node_id: str = ""
    subfolder: str = ""


@dataclass(frozen=True, slots=True)
class BoundGraph:
    """`origins` are the nodes that save, in the order of their marks."""

    workflow: Workflow
    origins: tuple[Origin, ...]

    def origin_of(self, filename: str, job_id: str) -> tuple[Origin, str]:
        """Where a file comes from, and the name it would have had."""
        name = filename.removeprefix(f"{job_id}_")
        mark = _MARK.fullmatch(name)
        if mark is None or int(mark[1]) >= len(self.origins):
            return Origin(), name
        return self.origins[int(mark[1])], mark[2]


def bound(workflow: Workflow, sources: Mapping[str, str]) -> BoundGraph:
    """Put each file's content or URL where its name stands, and a mark of its node into every file name.

    Raises InvalidWorkflow for what comfyui-api has no way to take.
    """
    workflow = graph.save_streamed_frames(workflow)
    findings = [*_lost_files(workflow, sources), *_linked_prefixes(workflow)]
    if findings:
        raise InvalidWorkflow(listed([finding["message"] for finding in findings]), findings)
    origins: list[Origin] = []
    nodes = {node_id: _node(node_id, node, sources, origins) for node_id, node in workflow.items()}
    return BoundGraph(nodes, tuple(origins))


def _node(
    node_id: str, node: Mapping[str, Any], sources: Mapping[str, str], origins: list[Origin]
) -> Mapping[str, Any]:
    inputs = dict(node["inputs"])
    for name in _file_inputs(node):
        source = sources.get(str(inputs[name]).removesuffix(_IN_INPUT))
        if source is not None:
            # A text that begins with a slash is taken for a path: the base64 of a small JPEG, for one.
            inputs[name] = f" {source}" if source.startswith("/") else source
    if isinstance(prefix := inputs.get(_PREFIX), str):
        folder, _, stem = prefix.replace("\\", "/").rpartition("/")
        inputs[_PREFIX] = f"n{len(origins)}_{stem or 'ComfyUI'}"
        origins.append(Origin(node_id, "/".join(part for part in folder.split("/") if part not in {"", ".", ".."})))
    return {**node, "inputs": inputs}


def _file_inputs(node: Mapping[str, Any]) -> list[str]:
    inputs, class_type = node["inputs"], node["class_type"]
    if isinstance(inputs.get(_PREFIX), str):
        names = []
    elif isinstance(inputs.get("image"), str):
        names = ["image"]
    elif class_type in _VIDEO_CLASSES:
        names = ["video", "file"]
    else:
        names = ["audio"] if class_type == "LoadAudio" else []
    return [name for name in names if isinstance(inputs.get(name), str)]


def _lost_files(workflow: Workflow, names: Collection[str]) -> Iterator[Detail]:
    """Files named where comfyui-api does not look for any."""
    for node_id, node in workflow.items():
        for name, value in node["inputs"].items():
            file = value.removesuffix(_IN_INPUT) if isinstance(value, str) else ""
            # A name without extension may be a plain word.
            if file in names and "." in file and name not in _file_inputs(node):
                text = f"takes the file {quote(file)}, which the Salad target has no way to give to this input"
                yield _finding(node_id, node, name, text)


def _linked_prefixes(workflow: Workflow) -> Iterator[Detail]:
    for node_id, node in workflow.items():
        if isinstance(node["inputs"].get(_PREFIX), list):
            yield _finding(node_id, node, _PREFIX, "is linked; the Salad target finds files only by a prefix as text")


def _finding(node_id: str, node: Mapping[str, Any], name: str, text: str) -> Detail:
    class_type = str(node["class_type"])
    return Detail(
        node_id=node_id,
        class_type=class_type,
        field=f"workflow.{node_id}.inputs.{name}",
        code="not_supported",
        message=f"Node {cut(node_id)} ({cut(class_type)}): '{name}' {text}.",
    )
