"""One entry of ComfyUI's history, read: verdict, outputs, texts, error. Knows no HTTP."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import PurePosixPath
from typing import Any
from unicodedata import category

from ..errors import ExecutionInterrupted, WorkerError
from ..ids import PromptId
from ..ordering import natural_key
from .failure import NodeFailure

# Keys under which nodes put text for people: PreviewAny, ShowText, captioners, taggers, prompt tools.
_TEXT_KEYS = frozenset({"text", "texts", "string", "strings", "caption", "captions", "tags", "prompt", "prompts"})
_TEXT_ENDINGS = ("_text", "_string", "_caption", "_tags", "_prompt")
_MODEL_SUFFIXES = frozenset({".glb", ".gltf", ".obj", ".fbx", ".stl", ".ply", ".usdz", ".splat", ".spz", ".ksplat"})


class Verdict(StrEnum):
    """How a run ended."""

    SUCCESS = "success"
    ERROR = "error"
    INTERRUPTED = "interrupted"


# `status_str` knows only success and error (interrupted = error), and in a run-time cycle it kept the `success`
# of the prompt before: the last status message decides.
_VERDICTS = {
    "execution_success": Verdict.SUCCESS,
    "execution_error": Verdict.ERROR,
    "execution_interrupted": Verdict.INTERRUPTED,
}


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """A file that a node reported. `kind` is output, temp or input; name and subfolder are as `/view` wants them."""

    node_id: str
    key: str
    index: int
    filename: str
    subfolder: str
    kind: str

    @property
    def plain(self) -> tuple[str, str] | None:
        """Name and subfolder with forward slashes; None when they lead elsewhere or hold what no name should."""
        folder, _slash, name = f"{self.subfolder}/{self.filename}".replace("\\", "/").rpartition("/")
        parts = folder.strip("/").split("/")
        rooted = self.subfolder.startswith(("/", "\\")) or parts[0].endswith(":")
        if rooted or ".." in parts or name in {"", ".", ".."} or not _printable(folder + name):
            return None
        return name, folder.strip("/")


@dataclass(frozen=True, slots=True)
class HistoryText:
    """A text that a node reported."""

    node_id: str
    key: str
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A finished prompt. `outputs` maps node id → ui dict, in natural order of the ids."""

    prompt_id: PromptId
    verdict: Verdict
    outputs: Mapping[str, Mapping[str, Any]]
    cached: frozenset[str] = frozenset()
    failed: NodeFailure | None = None
    execution_s: float | None = None

    @classmethod
    def parse(cls, prompt_id: PromptId, entry: Mapping[str, Any]) -> "HistoryEntry":
        """From the value under the prompt's id in `GET /history/{id}`."""
        status = _mapping(entry.get("status"))
        messages = [(message[0], _mapping(message[1])) for message in _messages(status)]
        last, data = messages[-1] if messages else ("", {})
        fallback = Verdict.SUCCESS if status.get("status_str") == "success" else Verdict.ERROR
        verdict = _VERDICTS.get(last, fallback)
        return cls(
            prompt_id=prompt_id,
            verdict=verdict,
            outputs=_outputs(entry),
            cached=frozenset(chain.from_iterable(_cached(name, data) for name, data in messages)),
            failed=NodeFailure.of(data) if verdict is not Verdict.SUCCESS else None,
            execution_s=_seconds([data for _name, data in messages]),
        )

    def error(self) -> WorkerError | None:
        """The error the run ended with: ExecutionFailed (or a child) or ExecutionInterrupted; None on success."""
        if self.verdict is Verdict.SUCCESS or self.failed is None:
            return None
        if self.verdict is Verdict.ERROR:
            return self.failed.error()
        return ExecutionInterrupted(
            f"The run was interrupted from outside at node {self.failed.node_id} ({self.failed.node_type})."
        )

    def files(self) -> list[HistoryFile]:
        """All files of the run, whatever their key (a video comes under `images`), each once.

        Two save nodes with equal inputs share one file: the second is served from the cache of the first.
        """
        found: dict[tuple[str, str, str], HistoryFile] = {}
        for file in chain.from_iterable(files_of(node, ui) for node, ui in self.outputs.items()):
            found.setdefault((file.kind, file.subfolder, file.filename), file)
        return list(found.values())

    def previews(self) -> set[str]:
        """The files that this run has put below ComfyUI's temp folder, as paths below it."""
        made = (file.plain for file in self.files() if file.kind == "temp" and file.node_id not in self.cached)
        return {f"{subfolder}/{name}" if subfolder else name for name, subfolder in filter(None, made)}

    def texts(self) -> list[HistoryText]:
        """All texts of the run, in the order of the node ids."""
        return list(chain.from_iterable(_texts(node, ui) for node, ui in self.outputs.items()))


def _printable(text: str) -> bool:
    return not any(category(char) in {"Cc", "Cs"} for char in text)


def _messages(status: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for message in _list(status.get("messages")):
        if isinstance(message, list) and len(message) >= 2 and isinstance(message[0], str):
            yield message[0], message[1]


def _cached(name: str, data: Mapping[str, Any]) -> Iterator[str]:
    return (str(node) for node in _list(data.get("nodes"))) if name == "execution_cached" else iter(())


def _seconds(stamped: list[Mapping[str, Any]]) -> float | None:
    stamps = [data["timestamp"] for data in stamped if isinstance(data.get("timestamp"), int | float)]
    seconds = (stamps[-1] - stamps[0]) / 1000 if len(stamps) > 1 else math.nan
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _outputs(entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Outputs of the nodes that were to run; the server lists cached ones of other nodes too, in no stable order."""
    outputs = {node: _mapping(ui) for node, ui in _mapping(entry.get("outputs")).items()}
    prompt = entry.get("prompt")
    if isinstance(prompt, list) and len(prompt) >= 5 and isinstance(prompt[4], list):
        # Nodes made by expansion (2.0.0.1) are in neither; what they saved belongs to the run.
        unasked = _mapping(prompt[2]).keys() - {str(node) for node in prompt[4]}
        outputs = {node: ui for node, ui in outputs.items() if node not in unasked}
    return {node: outputs[node] for node in sorted(outputs, key=natural_key)}


def files_of(node_id: str, ui: Mapping[str, Any]) -> Iterator[HistoryFile]:
    """The files a node reports in its ui dict."""
    for key, value in ui.items():
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            file = _file(key, item)
            if file is not None:
                name, subfolder, kind = file
                yield HistoryFile(node_id, key, index, name, subfolder, kind)


def _file(key: str, item: Any) -> tuple[str, str, str] | None:
    if isinstance(item, dict):
        name = item.get("filename")
        if not isinstance(name, str) or not name:
            return None
        return *_split(name, str(item.get("subfolder") or "")), str(item.get("type") or "output")
    # Preview3D reports {"result": ["x.glb", null]}: a bare name below the output folder.
    if key == "result" and isinstance(item, str):
        path = PurePosixPath(item.replace("\\", "/"))
        if path.suffix.lower() in _MODEL_SUFFIXES and not path.is_absolute() and ".." not in path.parts:
            return path.name, "" if str(path.parent) == "." else str(path.parent), "output"
    return None


def _split(name: str, subfolder: str) -> tuple[str, str]:
    """The name alone, and the subfolder with what stood before it: /view takes no more than a name's last part."""
    before, (folders, slash, plain) = subfolder.rstrip("/"), name.rpartition("/")
    if not slash:
        return plain, before
    return plain, f"{before}/{folders}" if before and folders and not name.startswith("/") else folders or slash


def _texts(node_id: str, ui: Mapping[str, Any]) -> Iterator[HistoryText]:
    for key, value in ui.items():
        if _holds_text(key) and isinstance(value, list):
            for index, text in enumerate(_joined(list(_strings(value)))):
                yield HistoryText(node_id, key, index, text)


def _holds_text(key: str) -> bool:
    return key.lower() in _TEXT_KEYS or key.lower().endswith(_TEXT_ENDINGS)


def _strings(value: list[Any]) -> Iterator[str]:
    for item in value:
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            yield from (inner for inner in item if isinstance(inner, str))


def _joined(texts: list[str]) -> list[str]:
    # A ui value that is a string comes as its single characters: the server concatenates per list item.
    if len(texts) > 1 and all(len(text) == 1 for text in texts):
        return ["".join(texts)]
    return texts


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
