"""The values an input accepts, and those nearest to one it does not."""

import difflib
import re
from typing import Any

_NEAREST = 3
_CUTOFF = 0.6
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


def nearest(value: object, choices: list[str]) -> list[str]:
    """Up to three choices that resemble `value`, best first; letter case and folders count for little.

    Folders with a random name, and what lies in them, are somebody's own: never suggested.
    """
    wanted = _folded(str(value))
    by_folded: dict[str, str] = {}
    for choice in filter(_is_nobodys, choices):
        by_folded.setdefault(_folded(choice), choice)
        by_folded.setdefault(_folded(choice).rpartition("/")[2], choice)
    bare = wanted.rpartition("/")[2]
    found = difflib.get_close_matches(wanted, by_folded, n=_NEAREST * 2, cutoff=_CUTOFF)
    found += difflib.get_close_matches(bare, by_folded, n=_NEAREST, cutoff=_CUTOFF)
    found += [name for name in by_folded if len(bare) > 2 and bare in name]
    return list(dict.fromkeys(by_folded[name] for name in found))[:_NEAREST]


def _is_nobodys(choice: str) -> bool:
    return not _RANDOM_FOLDER.search(_folded(choice))


def _folded(name: str) -> str:
    return name.casefold().replace("\\", "/")
