"""The inputs of a run: bound by name, their types checked, files on the way to where the run reads them."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import Detail, InvalidInput
from ..jobs.ports import InputFile
from ..jobs.quoting import kind_of, listed, quote
from .rows import InputType, Row

FIELD = "deployment.inputs"
_URLS = ("http://", "https://", "data:")
_SCALARS = (str, int, float, bool)
_EXTERNAL = "ComfyUIDeployExternal"
# By the node's class, for workflows that no deployment describes.
_KINDS: Mapping[str, str] = {
    "Text": "string",
    "TextAny": "string",
    "Number": "float",
    "NumberInt": "integer",
    "NumberSlider": "float",
    "NumberSliderInt": "integer",
    "Seed": "integer",
    "Boolean": "boolean",
    "Enum": "enum",
}

Upload = Callable[[InputFile], str]


def types_of(graph: Mapping[str, Any]) -> tuple[InputType, ...]:
    """The inputs a graph in API format declares by its external nodes."""
    found: dict[str, InputType] = {}
    for node in graph.values():
        if not isinstance(node, dict) or not str(node.get("class_type", "")).startswith(_EXTERNAL):
            continue
        given = node.get("inputs")
        given = given if isinstance(given, Mapping) else {}
        word = str(node["class_type"]).removeprefix(_EXTERNAL)
        row: Row = {**given, "class_type": node["class_type"], "type": _KINDS.get(word, "string")}
        if isinstance(given.get("input_id"), str):
            found.setdefault(given["input_id"], InputType.of({**row, "enum_options": given.get("options")}))
    return tuple(found.values())


def checked(types: Sequence[InputType], given: Mapping[str, Any], files: Sequence[str] = ()) -> dict[str, Any]:
    """What is given, without nulls. `files` are names that stand for files. Raises InvalidInput, all findings in it."""
    known = {each.name: each for each in types}
    values = {name: value for name, value in given.items() if value is not None}
    findings = [_unknown(name, known) for name in values if name not in known]
    for name, each in known.items():
        if name in values:
            fault = _fault(each, values[name], files)
            findings += [_finding(name, *fault)] if fault else []
        elif each.is_required:
            findings.append(_finding(name, "missing", "is missing and has no default"))
    if findings:
        raise InvalidInput(listed([each["message"] for each in findings]), findings)
    return {name: _spelled(known[name], value) for name, value in values.items()}


def bound(
    types: Sequence[InputType], given: Mapping[str, Any], files: Sequence[InputFile], upload: Upload
) -> dict[str, Any]:
    """The inputs as a run takes them: what names a file of the job is that file's URL once it is uploaded.

    Raises InvalidInput, and whatever `upload` does.
    """
    by_name = {file.name: file for file in files}
    values = checked(types, given, list(by_name))
    takes_file = {each.name for each in types if each.is_file or each.kind == "array"}
    sent: dict[str, str] = {}

    def where(value: Any) -> Any:
        if not isinstance(value, str) or value not in by_name:
            return value
        if value not in sent:
            sent[value] = upload(by_name[value])
        return sent[value]

    for name in takes_file & values.keys():
        value = values[name]
        values[name] = [where(each) for each in value] if isinstance(value, list) else where(value)
    return values


def _spelled(each: InputType, value: Any) -> Any:
    is_whole = each.kind == "integer" and isinstance(value, float)
    return int(value) if is_whole else value


def _fault(each: InputType, value: Any, files: Sequence[str]) -> tuple[str, str] | None:
    """What is wrong with a value: a code and the rest of a sentence."""
    if each.is_file:
        return _file_fault(value, files)
    # A word that is new here: they take texts, numbers, flags and lists.
    is_right, wanted = _TESTS.get(each.kind, (lambda item: isinstance(item, (*_SCALARS, list)), "a text or a number"))
    if not is_right(value):
        return "wrong_type", f"must be {wanted}, not {kind_of(value)}"
    if each.options and value not in each.options:
        return "unknown_value", f"must be one of {', '.join(map(str, each.options[:20]))}, not {quote(str(value))}"
    return _range_fault(each, value) if each.kind in _NUMBERS else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_NUMBERS = frozenset({"integer", "float"})
_TESTS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "string": (lambda value: isinstance(value, str), "a text"),
    "enum": (lambda value: isinstance(value, str), "a text"),
    "integer": (lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()), "a whole number"),
    "float": (_is_number, "a number"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "array": (
        lambda value: isinstance(value, list) and all(isinstance(item, _SCALARS) for item in value),
        "a list of texts or numbers",
    ),
}


def _file_fault(value: Any, files: Sequence[str]) -> tuple[str, str] | None:
    if isinstance(value, str) and (value in files or value.lower().startswith(_URLS)):
        return None
    said = quote(value) if isinstance(value, str) else kind_of(value)
    names = f" ({', '.join(files[:10])})" if files else ""
    return "wrong_type", f"must be a URL or the name of one of the job's images{names}, not {said}"


def _range_fault(each: InputType, value: float) -> tuple[str, str] | None:
    if each.minimum is not None and value < each.minimum:
        return "too_small", f"must be at least {each.minimum:g}, not {quote(str(value))}"
    if each.maximum is not None and value > each.maximum:
        return "too_large", f"must be at most {each.maximum:g}, not {quote(str(value))}"
    return None


def _unknown(name: str, known: Mapping[str, InputType]) -> Detail:
    near = difflib.get_close_matches(name, known, 3)
    there = ", ".join(list(known)[:20]) or "none"
    found = _finding(name, "unknown_input", f"is no input of it; there are: {there}")
    return Detail(**found, nearest=near) if near else found


def _finding(name: str, code: str, text: str) -> Detail:
    return Detail(field=f"{FIELD}.{name[:100]}", code=code, message=f"{FIELD}.{name[:100]} {text}.")
