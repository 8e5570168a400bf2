"""What can be searched in a workflow and its metadata, whatever their form; and what is shown of them in a list."""

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

_MOST_TEXT = 64_000
_MOST_STRING = 8_000
# A workflow names a few; one that is made to name thousands would fill every list it is in.
_MOST_CHECKPOINTS = 32
_SHOWN_PROMPT = 300
_MOST_DEPTH = 60
_CHECKPOINT_INPUT = re.compile(
    r"(?:ckpt|unet|checkpoint|diffusion_model|model)_?name\d*|ckpt\d*|checkpoint", re.IGNORECASE
)
_MODEL_FILE = re.compile(r"[^\n]{1,300}\.(?:safetensors|ckpt|pt|pth|bin|gguf|sft)", re.IGNORECASE)
_LOADER = re.compile(r"checkpoint|unet|diffusion", re.IGNORECASE)
_PROMPT_INPUT = re.compile(r"text|prompt|positive|caption|text_[gl]|clip_l|t5xxl|string|value", re.IGNORECASE)
# Scripts that are written without spaces: each character is a word, or nothing but whole sentences could be found.
_UNSPACED = re.compile(r"([\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff])")
_ASKED = re.compile(r'"([^"]*)"|(\S+)')
_MOST_ASKED = 32
# Beginnings of words shorter than this match half of everything.
_LEAST_BEGINNING = 2


def searchable(workflow: Mapping[str, Any] | None, *others: Any) -> str:
    """All texts of the workflow's inputs, and of the others, which may be anything JSON can hold."""
    pieces: list[str] = []
    left = _MOST_TEXT
    for text in chain(_workflow_texts(workflow or {}), *map(_texts, others)):
        piece = text[:_MOST_STRING]
        left -= len(piece)
        if left < 0:
            break
        pieces.append(piece)
    return _UNSPACED.sub(r" \1 ", _clean("\n".join(pieces)))


def query(asked: str) -> str:
    """An FTS5 query for what somebody typed: all words, phrases in quotes, the last word by its beginning.

    Empty when there is no word in it. Nothing in it is ever taken for an operator.
    """
    terms: list[str] = []
    for phrase, word in list(_ASKED.findall(_clean(asked)))[:_MOST_ASKED]:
        bare = _UNSPACED.sub(r" \1 ", phrase or word.replace('"', " ")).strip()
        if any(character.isalnum() for character in bare):
            terms.append('"' + " ".join(bare.split()) + '"')
    last = asked.rstrip()[-1:]
    if terms and last and (last.isalnum() or last == "_") and len(terms[-1]) - 2 >= _LEAST_BEGINNING:
        terms[-1] += "*"
    return " ".join(terms)


def checkpoints(workflow: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The checkpoints and diffusion models that the workflow names, each once."""
    found: dict[str, None] = {}
    for node in _nodes(workflow or {}):
        loads = bool(_LOADER.search(str(node.get("class_type") or node.get("type") or "")))
        for name, value in _inputs(node):
            is_named = bool(_CHECKPOINT_INPUT.fullmatch(name)) if name else loads
            # `model_name` is also what upscalers and ControlNets call theirs.
            if name.startswith("model") and not loads:
                continue
            if is_named and isinstance(value, str) and _MODEL_FILE.fullmatch(value):
                found[_clean(value)] = None
    return tuple(found)[:_MOST_CHECKPOINTS]


def prompt(workflow: Mapping[str, Any] | None) -> str | None:
    """What to show as its prompt: the text behind a `positive` input, else the longest one."""
    if not workflow:
        return None
    text = _positive(workflow) or max(_prompt_texts(workflow), key=len, default="")
    text = " ".join(_clean(text).split())
    return text[:_SHOWN_PROMPT] or None


def _positive(workflow: Mapping[str, Any]) -> str:
    waiting = deque(inputs["positive"] for node in _nodes(workflow) if "positive" in (inputs := dict(_inputs(node))))
    seen: set[str] = set()
    while waiting:
        link = waiting.popleft()
        if isinstance(link, str):
            return link
        if not isinstance(link, list) or not link or not isinstance(link[0], str) or link[0] in seen:
            continue
        seen.add(link[0])
        node = workflow.get(link[0])
        inputs = dict(_inputs(node)) if isinstance(node, dict) else {}
        texts = [str(value) for name, value in inputs.items() if _is_prompt(name, value)]
        if texts:
            return max(texts, key=len)
        waiting += [value for value in inputs.values() if isinstance(value, list)]
    return ""


def _prompt_texts(workflow: Mapping[str, Any]) -> Iterator[str]:
    for node in _nodes(workflow):
        for name, value in _inputs(node):
            if _is_prompt(name or "text", value):
                yield value


def _is_prompt(name: str, value: Any) -> bool:
    return isinstance(value, str) and bool(_PROMPT_INPUT.fullmatch(name)) and not _MODEL_FILE.fullmatch(value)


def _workflow_texts(workflow: Mapping[str, Any]) -> Iterator[str]:
    for node in _nodes(workflow):
        for _, value in _inputs(node):
            yield from _strings(value)


def _nodes(workflow: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those of the API format, or of the editor's own."""
    nodes = workflow.get("nodes")
    found = nodes if isinstance(nodes, list) else list(workflow.values())
    return (node for node in found if isinstance(node, dict))


def _inputs(node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Named ones of the API format; the editor's have no names."""
    inputs, values = node.get("inputs"), node.get("widgets_values")
    if isinstance(values, dict | list):
        yield from (("", value) for value in (values.values() if isinstance(values, dict) else values))
    elif isinstance(inputs, dict):
        yield from inputs.items()


def _strings(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth < _MOST_DEPTH and isinstance(value, dict | list) and not _is_link(value):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each, depth + 1)


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """Those of metadata: names and all values."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield str(name)
            if depth < _MOST_DEPTH:
                yield from _texts(each, depth + 1)
    elif isinstance(value, list):
        if depth < _MOST_DEPTH:
            for each in value:
                yield from _texts(each, depth + 1)
    elif isinstance(value, str):
        yield value
    elif value is not None:
        yield json.dumps(value, default=str)


def _clean(text: str) -> str:
    """Text that SQLite takes: no NUL, no half of a surrogate pair."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
