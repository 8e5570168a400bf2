"""POST /prompt validation with ComfyUI 0.3.64's types, messages and details, as recorded.

Coerced values are written back into the prompt. Whatever raises here where ComfyUI raises becomes its 500.
"""

import traceback
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .graph import constants
from .input_checks import Error, check_value, error
from .node_types import NodeClass

# Graphs deeper than this are refused; measured on 0.3.64: 980 nodes in a chain pass, 985 do not.
MAX_DEPTH = 981
_ANY = "*"


@dataclass(frozen=True)
class Verdict:
    """`refusal` is the error of a 400; otherwise `outputs` run, `node_errors` tells of those that do not."""

    refusal: Error | None = None
    outputs: list[str] = field(default_factory=list)
    node_errors: dict[str, Any] = field(default_factory=dict)


def validate_prompt(
    prompt: Any, targets: Container[str] | None, nodes: Mapping[str, NodeClass], input_dir: Path
) -> Verdict:
    wanted: list[str] = []
    for node_id in prompt:
        node = prompt[node_id]
        if "class_type" not in node:
            return _refuse_node("Cannot execute because a node is missing the class_type property.", node_id)
        class_type = node["class_type"]
        node_class = nodes.get(class_type)
        if node_class is None:
            return _refuse_node(f"Cannot execute because node {class_type} does not exist.", node_id)
        if node_class.info.get("output_node") is True and (targets is None or node_id in targets):
            wanted.append(node_id)
    if not wanted:
        return Verdict(error("prompt_no_outputs", "Prompt has no outputs", ""))
    return _Validation(prompt, nodes, input_dir).run(wanted)


def _refuse_node(message: str, node_id: str) -> Verdict:
    return Verdict(error("invalid_prompt", message, f"Node ID '#{node_id}'"))


@dataclass
class _Result:
    valid: bool
    errors: list[Error]


class _Validation:
    """One prompt's walk from its outputs backwards; every node is checked once."""

    def __init__(self, prompt: dict[str, Any], nodes: Mapping[str, NodeClass], input_dir: Path) -> None:
        self._prompt = prompt
        self._nodes = nodes
        self._input_dir = input_dir
        self._results: dict[str, _Result] = {}
        self._depth = 0

    def run(self, wanted: list[str]) -> Verdict:
        good: list[str] = []
        own_errors: list[Error] = []
        node_errors: dict[str, Any] = {}
        for node_id in wanted:
            result = self._output(node_id)
            if result.valid:
                good.append(node_id)
                continue
            own_errors += result.errors
            self._collect(node_errors, node_id)
        if good:
            return Verdict(outputs=good, node_errors=node_errors)
        details = "\n".join(f"{entry['message']}: {entry['details']}" for entry in own_errors)
        refusal = error("prompt_outputs_failed_validation", "Prompt outputs failed validation", details)
        return Verdict(refusal, node_errors=node_errors)

    def _collect(self, node_errors: dict[str, Any], output_id: str) -> None:
        for node_id, result in self._results.items():
            if result.valid or not result.errors:
                continue
            class_type = self._prompt[node_id]["class_type"]
            entry = {"errors": result.errors, "dependent_outputs": [], "class_type": class_type}
            node_errors.setdefault(node_id, entry)["dependent_outputs"].append(output_id)

    def _output(self, node_id: str) -> _Result:
        try:
            return self._node(node_id)
        except Exception as failure:  # noqa: BLE001 (any exception of a check is a validation error)
            extra = {"exception_type": type_name(failure), "traceback": traceback.format_tb(failure.__traceback__)}
            entry = error("exception_during_validation", "Exception when validating node", str(failure), extra)
            self._results[node_id] = _Result(False, [entry])
            return self._results[node_id]

    def _node(self, node_id: str) -> _Result:
        if node_id in self._results:
            return self._results[node_id]
        if self._depth >= MAX_DEPTH:
            raise RecursionError("maximum recursion depth exceeded while calling a Python object")
        self._depth += 1
        try:
            result = self._checked(node_id)
        finally:
            self._depth -= 1
        self._results[node_id] = result
        return result

    def _checked(self, node_id: str) -> _Result:
        node = self._prompt[node_id]
        inputs = node["inputs"]
        node_class = self._nodes[node["class_type"]]
        errors: list[Error] = []
        valid = True
        for section in ("required", "optional"):
            for name, config in node_class.info["input"].get(section, {}).items():
                if name in inputs:
                    valid &= self._input(inputs, name, _config(config), node_class, errors)
                elif section == "required":
                    text = "Required input is missing"
                    errors.append(error("required_input_missing", text, name, {"input_name": name}))
        errors += self._custom(node_class, inputs)
        return _Result(valid and not errors, errors)

    def _input(
        self, inputs: dict[str, Any], name: str, config: list[Any], node_class: NodeClass, errors: list[Error]
    ) -> bool:
        """Check one given input; False when something upstream is bad, which is told there."""
        value = inputs[name]
        if isinstance(value, list):
            return self._link(value, name, config, errors)
        found = check_value(inputs, name, config, skip_range=node_class.validate is not None)
        if found is not None:
            errors.append(found)
        return True

    def _link(self, link: list[Any], name: str, config: list[Any], errors: list[Error]) -> bool:
        about = {"input_name": name, "input_config": config}
        if len(link) != 2:
            text = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            errors.append(error("bad_linked_input", text, name, about | {"received_value": link}))
            return True
        source = self._nodes[self._prompt[link[0]]["class_type"]]
        received = tuple(source.info["output"])[link[1]]
        if not types_match(received, config[0]):
            details = f"{name}, received_type({received}) mismatch input_type({config[0]})"
            extra = about | {"received_type": received, "linked_node": link}
            errors.append(error("return_type_mismatch", "Return type mismatch between linked nodes", details, extra))
            return True
        return self._upstream(link, about)

    def _upstream(self, link: list[Any], about: dict[str, Any]) -> bool:
        try:
            return self._node(link[0]).valid
        except Exception as failure:  # noqa: BLE001 (as above)
            extra = about | {
                "exception_message": str(failure),
                "exception_type": type_name(failure),
                "traceback": traceback.format_tb(failure.__traceback__),
                "linked_node": link,
            }
            text = "Exception when validating inner node"
            entry = error("exception_during_inner_validation", text, str(failure), extra)
            self._results[link[0]] = _Result(False, [entry])
            return False

    def _custom(self, node_class: NodeClass, inputs: dict[str, Any]) -> list[Error]:
        if node_class.validate is None:
            return []
        message = node_class.validate(self._input_dir, constants(inputs))
        if message is None:
            return []
        name = next(iter(node_class.info["input"]["required"]))
        text = "Custom validation failed for node"
        return [error("custom_validation_failed", text, f"{name} - {message}", {"input_name": name})]


def _config(config: Any) -> list[Any]:
    """[type, options]; an input without options answers with empty ones."""
    return [config[0], config[1] if len(config) > 1 else {}]


def types_match(received: Any, expected: Any) -> bool:
    if _ANY in (received, expected) or received == expected:
        return True
    if not isinstance(received, str) or not isinstance(expected, str):
        return False
    return set(received.split(",")) <= set(expected.split(","))


def type_name(failure: BaseException) -> str:
    """The class as clients see it: built-in ones bare, others with their module."""
    kind = type(failure)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
