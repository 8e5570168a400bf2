"""Calls of named workflows made into jobs: checked inputs put into a copy of the template. Fetches nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from pydantic import ValidationError

from ..errors import Detail, InvalidInput, WorkflowNotFound
from ..jobs.quoting import cut, kind_of, listed
from ..jobs.request_findings import findings, invalid
from ..jobs.submission import Submission
from ..likeness import MOST_SUGGESTED
from .input_kinds import ENDINGS, FORMATS, IMAGE, JOB_OPTIONS, FileInput, SeedInput
from .manifest import file_inputs
from .named import NamedWorkflow
from .overrides import apply_overrides, nearest, place_of
from .registry import Registry

INPUTS = "inputs"
NAME = "workflow_name"
# Inputs that are told to be unknown; no workflow has more.
_MOST_UNKNOWN = 100
# What the workflow itself says.
_ITS_OWN = ("workflow", "prompt")


@dataclass(frozen=True)
class FileLimits:
    """What file inputs may be where a manifest does not say. Other kinds than pictures are taken in every format."""

    max_bytes: int = 10_000_000
    image_formats: tuple[str, ...] = ("png", "jpeg", "webp")

    def max_bytes_of(self, kind: FileInput) -> int:
        """The largest file, in bytes."""
        return kind.max_bytes or self.max_bytes

    def formats_of(self, kind: FileInput) -> tuple[str, ...]:
        """The formats, told by content."""
        return kind.formats or (self.image_formats if kind.type == IMAGE else FORMATS[kind.type])


@dataclass(frozen=True)
class Bound:
    """`given` is a job's input. `places` are the caller's words for places in it that errors may name."""

    name: str
    given: Mapping[str, Any] = field(repr=False)
    places: Mapping[str, str] = field(default_factory=dict)


class Binder:
    """Puts the workflow in the place of its name."""

    def __init__(self, registry: Registry, limits: FileLimits | None = None) -> None:
        self._registry = registry
        self.limits = limits or FileLimits()

    def bind(self, given: Mapping[str, Any]) -> Bound:
        """The job's input for `{"workflow_name": …, "inputs": {…}}`; what else it has goes along.

        Raises InvalidInput with all findings, WorkflowUnusable.
        """
        workflow = self._workflow(given)
        rest = {key: value for key, value in given.items() if key not in {NAME, INPUTS}}
        inputs = given.get(INPUTS)
        if inputs is not None and not isinstance(inputs, Mapping):
            raise invalid(INPUTS, "wrong_type", f"inputs must be an object, not {kind_of(inputs)}.")
        values = checked(workflow, inputs or {})
        return _bound(workflow, values, rest, self.limits)

    def submission(self, submission: Submission) -> Submission:
        """The same for what a surface hands in; as it is when it names no workflow."""
        given = submission.job.get("input")
        if not isinstance(given, Mapping) or given.get(NAME) is None:
            return submission
        bound = self.bind(given)
        job = {**submission.job, "input": dict(bound.given)}
        return replace(submission, job=job, workflow_name=bound.name, places=bound.places)

    def job(self, job: object) -> object:
        """A whole job `{"input": {…}}` with the workflow in it; as it is when it names none."""
        given = job.get("input") if isinstance(job, dict) else None
        if not isinstance(job, dict) or not isinstance(given, dict) or given.get(NAME) is None:
            return job
        return {**job, "input": dict(self.bind(given).given)}

    def _workflow(self, given: Mapping[str, Any]) -> NamedWorkflow:
        name = given[NAME]
        if not isinstance(name, str):
            raise invalid(NAME, "wrong_type", f"workflow_name must be a string, not {kind_of(name)}.")
        if both := [key for key in _ITS_OWN if given.get(key)]:
            raise invalid(NAME, "ambiguous", f"workflow_name and {both[0]} name two workflows: leave one of them out.")
        try:
            return self._registry.get(name)
        except WorkflowNotFound as error:
            raise InvalidInput(error.message, error.details) from None


def checked(workflow: NamedWorkflow, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that were given or have a default, by name. Raises InvalidInput, all findings in it."""
    details = _unknown(inputs, list(workflow.manifest.inputs))
    values: dict[str, Any] = {}
    try:
        found = workflow.inputs_model.model_validate(dict(inputs))
        values = {name: value for name, value in found.model_dump(by_alias=True).items() if value is not None}
    except ValidationError as error:
        details += [_within(detail) for detail in findings(error)]
    if details:
        raise InvalidInput(listed([detail["message"] for detail in details]), details)
    return values


def _unknown(inputs: Mapping[str, Any], names: Sequence[str]) -> list[Detail]:
    details: list[Detail] = []
    for name in islice((str(name) for name in inputs if name not in names), _MOST_UNKNOWN):
        near = nearest(name, names) if len(details) < MOST_SUGGESTED else ()
        hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(names) or 'none'}."
        text = f"inputs.{cut(name)} is no input of this workflow: {hint}"
        details.append(Detail(field=f"inputs.{cut(name)}", code="unknown_field", message=text, nearest=list(near)))
    return details


def _within(detail: Detail) -> Detail:
    """The finding, under its place in the job's input."""
    message = detail["message"]
    return Detail(**{**detail, "field": f"inputs.{detail['field']}", "message": f"inputs.{message}"})


def _bound(workflow: NamedWorkflow, values: Mapping[str, Any], rest: Mapping[str, Any], limits: FileLimits) -> Bound:
    images: list[dict[str, Any]] = []
    places: dict[str, str] = {}
    settings: dict[str, Any] = {}
    files = file_inputs(workflow.manifest)
    for name, kind in workflow.manifest.inputs.items():
        value = values.get(name)
        if value is None and isinstance(kind, SeedInput):
            value = kind.draw()
        if value is None:
            continue
        if name in files:
            file_name = f"{name}.{ENDINGS[files[name].type]}"
            places[f"images.{len(images)}.image"] = f"inputs.{name}"
            images.append(_image(file_name, value, files[name], limits))
            value = file_name
        settings |= kind.settings(value)
        places |= {place_in(workflow, target): f"inputs.{name}" for target in kind.target}
    options = {target: settings.pop(target) for target in JOB_OPTIONS & settings.keys()}
    given: dict[str, Any] = {"workflow": apply_overrides(workflow.template, settings), **options, **rest}
    if images:
        given["images"] = [*images, *_listed(rest.get("images"))]
    if workflow.manifest.timeout_s is not None:
        given.setdefault("timeout_s", workflow.manifest.timeout_s)
    return Bound(workflow.name, given, places)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _image(name: str, source: str, kind: FileInput, limits: FileLimits) -> dict[str, Any]:
    return {
        "name": name,
        "image": source,
        "max_bytes": limits.max_bytes_of(kind),
        "formats": list(limits.formats_of(kind)),
    }


def place_in(workflow: NamedWorkflow, target: str) -> str:
    """Where in a job's input a target is, as errors name it."""
    if target in JOB_OPTIONS:
        return target
    node_id, name = place_of(workflow.template, target)
    return f"workflow.{node_id}.inputs.{name}"
