"""The nulls of examples, put back: FastAPI leaves nulls out of the whole document, and with them parts of examples."""

from collections.abc import Mapping
from typing import Any

_PREFIX = "#/components/schemas/"

Schema = Mapping[str, Any]


def complete(schemas: Mapping[str, dict[str, Any]]) -> None:
    """Give the examples of all schemas what these require and may be null."""
    for schema in schemas.values():
        for example in (*([schema["example"]] if "example" in schema else []), *schema.get("examples", [])):
            _complete(example, schema, schemas)


def _complete(value: Any, schema: Schema, schemas: Mapping[str, Schema]) -> None:
    schema = _meant(value, schema, schemas)
    if isinstance(value, list):
        for item in value:
            _complete(item, schema.get("items", {}), schemas)
    elif isinstance(value, dict):
        properties = schema.get("properties", {})
        for name in schema.get("required", ()):
            if name not in value and _may_be_null(properties.get(name, {})):
                value[name] = None
        for name, inner in value.items():
            _complete(inner, properties.get(name) or _of_others(schema), schemas)


def _meant(value: Any, schema: Schema, schemas: Mapping[str, Schema]) -> Schema:
    """The schema itself, that which it refers to, or the one of several that the value is meant for."""
    if "$ref" in schema:
        return _meant(value, schemas.get(schema["$ref"].removeprefix(_PREFIX), {}), schemas)
    choices = [each for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ())) if each.get("type") != "null"]
    fitting = [found for each in choices if _says_so(value, found := _meant(value, each, schemas))]
    return fitting[0] if len(fitting) == 1 else schema


def _says_so(value: Any, schema: Schema) -> bool:
    constants = {name: each["const"] for name, each in schema.get("properties", {}).items() if "const" in each}
    return isinstance(value, dict) is (schema.get("type") == "object") and all(
        value.get(name) == constant for name, constant in constants.items()
    )


def _of_others(schema: Schema) -> Schema:
    others = schema.get("additionalProperties")
    return others if isinstance(others, dict) else {}


def _may_be_null(schema: Schema) -> bool:
    # One that says nothing takes anything.
    return not {"type", "anyOf", "oneOf", "$ref", "const", "enum"} & schema.keys() or any(
        each.get("type") == "null" for each in (schema, *schema.get("anyOf", ()))
    )
