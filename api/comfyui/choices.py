"""The values an input accepts, and those nearest to one it does not."""

import re
from collections.abc import Mapping
from typing import Any

from ..likeness import MOST_SUGGESTED, alike

_NEAREST = 3
_CUTOFF = 0.6
# No file or class has a longer name.
_LONGEST = 500
_RANDOM_FOLDER = re.compile(r"(?:^|[^0-9a-f])[0-9a-f]{32}(?:/|$)")


def choices_of(config: Any) -> list[str] | None:
    """The list of a combo input from its definition `[type, options]`; None when it is no combo.

    The list is the type itself, or in V3 nodes stands in the options of type "COMBO".
    """
    if not isinstance(config, list) or not config:
        return None
    values = config[0]
    if values == "COMBO" and len(config) > 1 and isinstance(config[1], dict):
        values = config[1].get("options")
    return [str(value) for value in values] if isinstance(values, list) else None


def without_private(definition: Any) -> Any:
    """A node's definition without the choices that are files of somebody's own; those that stay keep their order."""
    inputs = definition.get("input") if isinstance(definition, Mapping) else None
    if not isinstance(inputs, Mapping):
        return definition
    cleaned = {
        group: {name: _cleaned(config) for name, config in fields.items()} if isinstance(fields, Mapping) else fields
        for group, fields in inputs.items()
    }
    return {**definition, "input": cleaned}


def _cleaned(config: Any) -> Any:
    choices = choices_of(config)
    if choices is None or all(map(_is_nobodys, choices)):
        return config
    if config[0] == "COMBO":
        kept = [each for each in config[1]["options"] if _is_nobodys(str(each))]
        return [config[0], {**config[1], "options": kept}, *config[2:]]
    return [[each for each in config[0] if _is_nobodys(str(each))], *config[1:]]


def nearest(value: object, choices: list[str]) -> list[str]:
    """Up to three choices that resemble `value`, best first; letter case and folders count for little.

    Folders with a random name, and what lies in them, are somebody's own: never suggested.
    """
    if isinstance(value, list | dict) or len(text := str(value)) > _LONGEST:
        return []
    wanted = _folded(text)
    by_folded: dict[str, str] = {}
    for choice in filter(_is_nobodys, choices):
        by_folded.setdefault(_folded(choice), choice)
        by_folded.setdefault(_folded(choice).rpartition("/")[2], choice)
    bare = wanted.rpartition("/")[2]
    found = alike(wanted, by_folded, _NEAREST * 2, _CUTOFF)
    if bare != wanted:
        found += alike(bare, by_folded, _NEAREST, _CUTOFF)
    found += [name for name in by_folded if len(bare) > 2 and bare in name]
    return list(dict.fromkeys(by_folded[name] for name in found))[:_NEAREST]


class Suggestions:
    """`nearest` for the first unknown names of one workflow. Of more than these nothing is found: it takes its time."""

    def __init__(self) -> None:
        self._left = MOST_SUGGESTED

    def __call__(self, value: object, choices: list[str]) -> list[str]:
        """The choices that resemble the value, or none."""
        self._left -= 1
        return nearest(value, choices) if self._left >= 0 else []


def _is_nobodys(choice: str) -> bool:
    return not _RANDOM_FOLDER.search(_folded(choice))


def _folded(name: str) -> str:
    return name.casefold().replace("\\", "/")
