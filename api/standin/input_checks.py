"""Checks and coercions of one constant input value; texts as recorded from 0.3.64."""

from collections.abc import Callable
from typing import Any

Error = dict[str, Any]
_COERCIONS: dict[str, Callable[[Any], Any]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
_LONG_LIST = 20


def error(kind: str, message: str, details: str, extra: dict[str, Any] | None = None) -> Error:
    return {"type": kind, "message": message, "details": details, "extra_info": extra or {}}


def check_value(inputs: dict[str, Any], name: str, config: list[Any], *, skip_range: bool) -> Error | None:
    """Coerce inputs[name] in place and check it; nodes with their own validation skip range and list."""
    value = inputs[name]
    if isinstance(value, dict) and "__value__" in value:
        value = inputs[name] = value["__value__"]
    kind, options = config
    if isinstance(kind, str) and kind in _COERCIONS:
        try:
            value = inputs[name] = _COERCIONS[kind](value)
        except (ValueError, TypeError, OverflowError) as failure:
            return _not_convertible(name, value, config, failure)
    if skip_range:
        return None
    return _out_of_range(name, value, config, options) or _not_in_list(name, value, config)


def _about(name: str, config: list[Any] | None, value: Any) -> dict[str, Any]:
    return {"input_name": name, "input_config": config, "received_value": value}


def _not_convertible(name: str, value: Any, config: list[Any], failure: Exception) -> Error:
    message = f"Failed to convert an input value to a {config[0]} value"
    extra = _about(name, config, value) | {"exception_message": str(failure)}
    return error("invalid_input_type", message, f"{name}, {value}, {failure}", extra)


def _out_of_range(name: str, value: Any, config: list[Any], options: dict[str, Any]) -> Error | None:
    # NaN passes both, as in ComfyUI; `step` is not enforced.
    if "min" in options and value < options["min"]:
        message = f"Value {value} smaller than min of {options['min']}"
        return error("value_smaller_than_min", message, name, _about(name, config, value))
    if "max" in options and value > options["max"]:
        message = f"Value {value} bigger than max of {options['max']}"
        return error("value_bigger_than_max", message, name, _about(name, config, value))
    return None


def _not_in_list(name: str, value: Any, config: list[Any]) -> Error | None:
    """Only old-style lists are checked; a V3 "COMBO" takes anything in 0.3.64."""
    choices = config[0]
    if not isinstance(choices, list) or value in choices:
        return None
    shown, told = (str(choices), config) if len(choices) <= _LONG_LIST else (f"(list of length {len(choices)})", None)
    details = f"{name}: '{value}' not in {shown}"
    return error("value_not_in_list", "Value not in list", details, _about(name, told, value))
