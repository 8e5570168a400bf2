"""Finds what an OpenAPI document leaves out: examples, descriptions, parameters of its paths."""

import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

JSON_KINDS = ("application/json", "application/problem+json")


def without_example(document: dict[str, Any]) -> list[str]:
    """Where a schema, parameter or JSON body has no example of its own or of the schema it points to."""
    return [*_schemas(document), *_operations(document)]


def wrong_examples(document: dict[str, Any]) -> list[str]:
    """The schemas and parameters with an example that is none, and why."""
    found = []
    for path, operations in document["paths"].items():
        for each in (parameter for operation in operations.values() for parameter in operation.get("parameters", [])):
            if "example" in each:
                check = Draft202012Validator({**each["schema"], "components": document["components"]})
                found += [f"{path} {each['name']}: {error.message}" for error in check.iter_errors(each["example"])]
    for name, schema in document["components"]["schemas"].items():
        check = Draft202012Validator({**schema, "components": document["components"]})
        for example in (*([schema["example"]] if "example" in schema else []), *schema.get("examples", [])):
            found += [f"{name}: {error.message}" for error in check.iter_errors(example)]
    return found


def without_description(document: dict[str, Any]) -> list[str]:
    """The parameters, and the fields of request bodies, that nothing is said about."""
    found: dict[str, None] = {}
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            place = f"{method.upper()} {path}"
            parameters = [each for each in operation.get("parameters", []) if not each.get("description")]
            found |= {f"{place} parameter {each['name']}": None for each in parameters}
            for content in operation.get("requestBody", {}).get("content", {}).values():
                found |= dict.fromkeys(_silent_fields(document, content["schema"], place, set()))
    return list(found)


def _silent_fields(document: dict[str, Any], schema: dict[str, Any], place: str, seen: set[str]) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        if name not in seen:
            seen.add(name)
            yield from _silent_fields(document, document["components"]["schemas"][name], name, seen)
    items = [schema["items"]] if "items" in schema else []
    for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *items):
        yield from _silent_fields(document, option, place, seen)
    for name, field in schema.get("properties", {}).items():
        if not field.get("description"):
            yield f"{place}.{name}"
        yield from _silent_fields(document, field, f"{place}.{name}", seen)


def undeclared_parameters(document: dict[str, Any]) -> list[str]:
    """Names in braces of a path that no operation's parameters explain."""
    return [
        f"{method.upper()} {path}: {name}"
        for path, operations in document.get("paths", {}).items()
        for method, operation in operations.items()
        for name in re.findall(r"{(\w+)}", path)
        if name not in {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
    ]


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        if not _has_example(document, schema):
            yield f"#/components/schemas/{name}"


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            place = f"{method.upper()} {path}"
            for parameter in operation.get("parameters", []):
                # An example of this one would be sent by /docs, and make the second try the first one again.
                if parameter["name"] == "Idempotency-Key":
                    continue
                if not _has_example(document, {**parameter["schema"], **parameter}):
                    yield f"{place} parameter {parameter['name']}"
            bodies = {"request": operation.get("requestBody", {}), **operation.get("responses", {})}
            for name, body in bodies.items():
                for kind, content in body.get("content", {}).items():
                    if kind in JSON_KINDS and not _has_example(document, {**content.get("schema", {}), **content}):
                        yield f"{place} {name} {kind}"


def _has_example(document: dict[str, Any], schema: dict[str, Any]) -> bool:
    if any(word in schema for word in ("example", "examples", "const")) or "enum" in schema:
        return True
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return _has_example(document, document["components"]["schemas"][name])
    options = [*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])]
    if options:
        return all(option.get("type") == "null" or _has_example(document, option) for option in options)
    if schema.get("type") == "array" and "items" in schema:
        return _has_example(document, schema["items"])
    return False
