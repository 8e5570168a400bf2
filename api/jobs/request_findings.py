"""pydantic's findings about a job, put into sentences for the person who sent it. Never quotes what may be secret."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..errors import Detail, InputTooLarge, InvalidInput
from .json_value import NOT_TEXT
from .quoting import cut_any, kind_of, listed

_MAX_FINDINGS = 50
_Model = TypeVar("_Model", bound=BaseModel)
# The values of these may be quoted: they hold no prompt, picture, path or key.
_HARMLESS = {
    "force",
    "output_format",
    "output_quality",
    "metadata",
    "delivery",
    "include_temp",
    "timeout_s",
    "receipt",
    "timings",
    "previews",
    "executionTimeout",
}
_EXPECTED: Mapping[str, str] = {
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "list_type": "a list",
    "string_type": "a string",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
}
_RUNPOD_NAMES = {"endpoint_url": "endpointUrl", "access_key_id": "accessId", "secret_access_key": "accessSecret"}
_OUT_OF_RANGE = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
# By the last part of the field's path: what to send when it is missing or empty.
_WANTED: Mapping[str, str] = {
    "workflow": 'send the workflow in API format (in ComfyUI: Workflow → Export (API)) as "workflow"',
    "name": "give the file name that the workflow uses",
    "image": "send base64, a data URI or an http(s) or s3 URL",
    "images": 'send a list of {"name": …, "image": …}',
    "overrides": 'send an object like {"6.text": "a cat"}',
}


def validated(model: type[_Model], given: Mapping[str, Any]) -> _Model:
    """The model of what a caller has sent. Raises InvalidInput, all findings in it."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        details = findings(error)
        raise InvalidInput(listed([detail["message"] for detail in details]), details) from None


def findings(error: ValidationError) -> list[Detail]:
    """One detail per finding, its `field` a dotted path as the caller wrote it."""
    return [_detail(item) for item in error.errors(include_url=False)[:_MAX_FINDINGS]]


def invalid(field: str, code: str, message: str) -> InvalidInput:
    """An InvalidInput with one finding."""
    return InvalidInput(message, [Detail(field=field, code=code, message=message)])


def too_large(field: str, message: str) -> InputTooLarge:
    """An InputTooLarge with one finding."""
    return InputTooLarge(message, [Detail(field=field, code="too_large", message=message)])


def _detail(item: ErrorDetails) -> Detail:
    field = _field(item)
    code, text = _explain(item)
    detail = Detail(field=field, code=code, message=f"{field} {text}.")
    if _last_name(item) in _HARMLESS and isinstance(item["input"], str | int | float):
        detail["received"] = _received(item["input"])
    return detail


def _field(item: ErrorDetails) -> str:
    parts = [cut_any(part) for part in item["loc"] if part != "[key]"]
    if parts[:1] == ["s3Config"]:
        parts[1:] = [_RUNPOD_NAMES.get(part, part) for part in parts[1:]]
    return ".".join(parts)


def _explain(item: ErrorDetails) -> tuple[str, str]:
    kind, hint = item["type"], _hint(item)
    if kind == "missing":
        return "missing", f"is missing{hint}"
    if kind == "string_too_short":
        return "missing", f"is empty{hint}"
    if kind == "string_unicode":
        return "invalid_text", NOT_TEXT
    if kind in _EXPECTED:
        return "wrong_type", f"must be {_EXPECTED[kind]}, not {_given(item)}{hint}"
    if kind == "literal_error":
        return "not_a_choice", f"must be {item['ctx']['expected']}, not {_given(item)}"
    text = item["msg"].replace("Input should", "must").replace("String should", "must")
    return ("out_of_range" if kind in _OUT_OF_RANGE else kind), text


def _hint(item: ErrorDetails) -> str:
    if isinstance(item["input"], str) and item["type"] == "dict_type":
        return ": send the JSON itself, not its text"
    wanted = _WANTED.get(_last_name(item))
    return f": {wanted}" if wanted else ""


def _given(item: ErrorDetails) -> str:
    value = item["input"]
    if _last_name(item) in _HARMLESS and isinstance(value, str | float):
        return f"'{cut_any(value)}'"
    return kind_of(value)


def _last_name(item: ErrorDetails) -> str:
    return next((part for part in reversed(item["loc"]) if isinstance(part, str)), "")


def _received(value: str | int | float) -> Any:
    return value if isinstance(value, int) and value.bit_length() < 64 else cut_any(value)
