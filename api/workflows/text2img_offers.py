"""What a ComfyUI offers for text-to-image, read from its object_info; names as people write them found in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import Detail
from ..jobs.quoting import quote
from .overrides import nearest

_MOST_NEAREST = 3


class Offers:
    """An object_info. Whatever is not in a known form is taken for absent."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        self._info = info

    def __contains__(self, class_type: str) -> bool:
        return class_type in self._info

    def choices(self, class_type: str, name: str) -> list[str]:
        """The values of a combo input; empty when there are none, no such input, or no such node."""
        return _values(self._required(class_type).get(name)) or []

    def defaults(self, class_type: str) -> dict[str, Any]:
        """The inputs that must be there and have a value of their own, with it."""
        found = {name: _default(config) for name, config in self._required(class_type).items()}
        return {name: value for name, value in found.items() if value is not None}

    def _required(self, class_type: str) -> Mapping[str, Any]:
        return _mapping(_mapping(_mapping(self._info.get(class_type)).get("input")).get("required"))


def find(name: str, choices: Sequence[str]) -> str | None:
    """The choice that is meant: folder, ending and letter case may be left out where no other one fits."""
    if name in choices:
        return name
    wanted = _plain(name)
    for spell in (_plain, _stem, _file, lambda choice: _stem(_file(choice))):
        fitting = [choice for choice in choices if spell(choice) == wanted]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
    return None


def unknown(field: str, name: str, choices: Sequence[str], what: str) -> Detail:
    """A finding for a name that is none of the choices."""
    if not choices:
        message = f"{field} is {quote(name)}, but ComfyUI offers no {what}."
        return Detail(field=field, code="none_offered", message=message)
    near = _nearest(name, choices)
    hint = f" Nearest: {', '.join(near)}." if near else f" It offers {len(choices)}, {quote(choices[0])} for one."
    message = f"{field}: ComfyUI offers no {what} {quote(name)}.{hint}"
    return Detail(field=field, code="value_not_in_list", message=message, nearest=near)


def _nearest(name: str, choices: Sequence[str]) -> list[str]:
    files: dict[str, list[str]] = {}
    for choice in choices:
        for key in dict.fromkeys((_file(choice), _stem(_file(choice)))):
            files.setdefault(key, []).append(choice)
    word = _stem(_file(name))
    keys = [*nearest(_file(name), files), *nearest(word, files)]
    keys += [file for file in files if len(word) > 2 and word in file]
    return list(dict.fromkeys(choice for key in keys for choice in files[key]))[:_MOST_NEAREST]


def _plain(name: str) -> str:
    return name.casefold().replace("\\", "/")


def _file(name: str) -> str:
    return _plain(name).rpartition("/")[2]


def _stem(name: str) -> str:
    stem, dot, ending = _plain(name).rpartition(".")
    # v1.5 has no ending.
    return stem if dot and ending.isalnum() and not ending.isdecimal() else _plain(name)


def _values(config: Any) -> list[str] | None:
    """Of a combo, in the old form or that of V3 nodes; None for no combo."""
    if not isinstance(config, list) or not config:
        return None
    values = config[0] if config[0] != "COMBO" else _options(config).get("options")
    return [str(value) for value in values] if isinstance(values, list) else None


def _default(config: Any) -> Any:
    values = _values(config)
    given = _options(config).get("default")
    return given if given is not None else values[0] if values else None


def _options(config: Any) -> Mapping[str, Any]:
    return _mapping(config[1]) if isinstance(config, list) and len(config) > 1 else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
