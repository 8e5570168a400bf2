"""A named workflow read from its folder or file, checked whole: no call finds a mistake that was in it before."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import InvalidInput
from ..jobs.ports import Workflow
from ..jobs.quoting import cut
from .facts import models
from .graph import apply_overrides, check
from .input_kinds import ENDINGS, JOB_OPTIONS
from .links import parents_of
from .manifest import Manifest, calls, file_inputs
from .overrides import place_of

MANIFEST, TEMPLATE = "manifest.json", "workflow.json"
_MOST_TOLD = 5


class Unusable(Exception):
    """What is wrong with the files of a workflow, by file and field; of the path only the file's name."""


@dataclass(frozen=True)
class NamedWorkflow:
    """A manifest and its template, which fit together. `result` is a node of the template."""

    name: str
    manifest: Manifest
    template: Workflow = field(repr=False)
    result: str
    is_builtin: bool = False

    @property
    def title(self) -> str:
        """For people."""
        return self.manifest.title or self.name.replace("-", " ").replace("_", " ").capitalize()

    @property
    def models(self) -> list[str]:
        """The model files it needs."""
        return list(dict.fromkeys([*self.manifest.requires.models, *(each["name"] for each in models(self.template))]))

    @property
    def nodes(self) -> list[str]:
        """The node classes it needs."""
        classes = (node["class_type"] for node in self.template.values())
        return sorted({*self.manifest.requires.nodes, *classes})

    def trial_input(self) -> dict[str, Any]:
        """A job's input to hold against what a ComfyUI has; its files stand for those of a call."""
        files = {name: f"{name}.{ENDINGS[kind.type]}" for name, kind in file_inputs(self.manifest).items()}
        settings = {target: files[name] for name in files for target in self.manifest.inputs[name].target}
        images = [{"name": name, "image": "-"} for name in files.values()]
        return {"workflow": apply_overrides(self.template, settings), "images": images}

    @cached_property
    def inputs_model(self) -> type[BaseModel]:
        """The model that a call's inputs are checked with."""
        return calls(self.name, self.manifest)


def read(path: Path, roots: Sequence[str] = (), *, is_builtin: bool = False) -> NamedWorkflow:
    """The workflow in a folder (manifest.json, workflow.json), or in one file with the template as its `workflow`.

    Raises Unusable.
    """
    if path.is_dir():
        where, document = MANIFEST, _json(path / MANIFEST)
        template_where, template = TEMPLATE, _json(path / TEMPLATE)
    else:
        where, document = path.name, _json(path)
        template_where = f"{path.name}: workflow"
        if "workflow" not in document:
            raise Unusable(
                f'{path.name} holds no "workflow". If it is an export of ComfyUI, give it a manifest: '
                f"python -m api workflows add {path.name}"
            )
        document, template = {key: value for key, value in document.items() if key != "workflow"}, document["workflow"]
    manifest = _manifest(document, path.name if path.is_dir() else path.stem, where)
    graph = _graph(template, roots, template_where)
    _check_targets(manifest, graph, where)
    return NamedWorkflow(manifest.name or "", manifest, graph, _result(manifest, graph, where), is_builtin)


def name_at(path: Path) -> str:
    """The name a workflow would have that cannot be read: what its file says, else that of the path."""
    try:
        document = json.loads((path / MANIFEST if path.is_dir() else path).read_bytes())
        return str(Manifest.model_validate({"name": document["name"]}).name)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return path.name if path.is_dir() else path.stem


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unusable(f"{path.name} cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise Unusable(f"{path.name} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError):
        raise Unusable(f"{path.name} is not JSON: it is no UTF-8, or nested too deep") from None
    if not isinstance(document, dict):
        raise Unusable(f"{path.name} must hold an object")
    return document


def _manifest(document: Mapping[str, Any], name: str, where: str) -> Manifest:
    try:
        return Manifest.model_validate({"name": name, **document})
    except ValidationError as error:
        told = [_told(finding) for finding in error.errors(include_url=False)]
        more = f" (and {len(told) - _MOST_TOLD} more)" if len(told) > _MOST_TOLD else ""
        raise Unusable(f"{where}: {'; '.join(told[:_MOST_TOLD])}{more}") from None


def _told(finding: Any) -> str:
    field_name = ".".join(cut(str(part)) for part in finding["loc"] if part != "[key]")
    text = finding["msg"].removeprefix("Value error, ")
    return f"{field_name or 'the manifest'}: {text[:1].lower()}{text[1:]}"


def _graph(template: object, roots: Sequence[str], where: str) -> Workflow:
    try:
        return check(template, roots=roots)
    except InvalidInput as error:
        raise Unusable(f"{where}: {error.message}") from None


def _check_targets(manifest: Manifest, template: Workflow, where: str) -> None:
    taken: dict[tuple[str, str], str] = {}
    for name, kind in manifest.inputs.items():
        for target in kind.target:
            place = _place(template, target, f"{where}: inputs.{name}.target")
            other = taken.setdefault(place, name)
            if other != name:
                raise Unusable(f"{where}: inputs.{name}.target: {cut(target)} is set by {other} already")


def _place(template: Workflow, target: str, where: str) -> tuple[str, str]:
    if target in JOB_OPTIONS:
        return "", target
    try:
        apply_overrides(template, {target: None})
    except InvalidInput as error:
        raise Unusable(f"{where}: {cut(target)}: {error.message.partition(': ')[2].rstrip('.')}") from None
    return place_of(template, target)


def _result(manifest: Manifest, template: Workflow, where: str) -> str:
    if manifest.result is not None:
        if manifest.result not in template:
            raise Unusable(f"{where}: result: there is no node {cut(manifest.result)} in {TEMPLATE}")
        return manifest.result
    used = {parent for node_id in template for parent in parents_of(template, node_id)}
    ends = [node_id for node_id in template if node_id not in used]
    if len(ends) == 1:
        return ends[0]
    raise Unusable(f"{where}: result: name the node that makes the result, one of {', '.join(map(cut, ends[:10]))}")
