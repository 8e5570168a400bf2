"""Nodes about plain values: primitives, strings, regular expressions, and PreviewAny that shows one."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from .declaration import pure, recorded
from .node_call import tensor_text
from .node_types import Context, NodeResult


def _primitive(value: Any) -> Any:
    return value


def _concatenate(string_a: str, string_b: str, delimiter: str) -> str:
    return delimiter.join((string_a, string_b))


def _substring(string: str, start: int, end: int) -> str:
    return string[start:end]


def _length(string: str) -> int:
    return len(string)


_CASES: dict[str, Callable[[str], str]] = {
    "UPPERCASE": str.upper,
    "lowercase": str.lower,
    "Capitalize": str.capitalize,
    "Title Case": str.title,
}
_TRIMS: dict[str, Callable[[str], str]] = {"Both": str.strip, "Left": str.lstrip, "Right": str.rstrip}


def _convert_case(string: str, mode: str) -> str:
    return _CASES.get(mode, str)(string)


def _trim(string: str, mode: str) -> str:
    return _TRIMS.get(mode, str)(string)


def _replace(string: str, find: str, replace: str) -> str:
    return string.replace(find, replace)


def _contains(string: str, substring: str, case_sensitive: bool) -> bool:
    return substring in string if case_sensitive else substring.lower() in string.lower()


_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "Equal": str.__eq__,
    "Starts With": str.startswith,
    "Ends With": str.endswith,
}


def _compare(string_a: str, string_b: str, mode: str, case_sensitive: bool) -> bool:
    if not case_sensitive:
        string_a, string_b = string_a.lower(), string_b.lower()
    return _COMPARISONS[mode](string_a, string_b)


def _flags(case_insensitive: bool, multiline: bool, dotall: bool) -> re.RegexFlag:
    chosen = ((case_insensitive, re.IGNORECASE), (multiline, re.MULTILINE), (dotall, re.DOTALL))
    flags = re.NOFLAG
    for wanted, flag in chosen:
        flags |= flag if wanted else re.NOFLAG
    return flags


def _regex_match(string: str, regex_pattern: str, case_insensitive: bool, multiline: bool, dotall: bool) -> bool:
    return re.search(regex_pattern, string, _flags(case_insensitive, multiline, dotall)) is not None


def _regex_extract(
    string: str, regex_pattern: str, mode: str, case_insensitive: bool, multiline: bool, dotall: bool, group_index: int
) -> str:
    """Several finds come one a line; nothing found is an empty string."""
    whole, every = mode.endswith(("Match", "Matches")), mode.startswith("All")
    found = re.finditer(regex_pattern, string, _flags(case_insensitive, multiline, dotall))
    group = 0 if whole else group_index
    texts = [match[group] or "" for match in found if group <= len(match.groups())]
    return "\n".join(texts if every else texts[:1])


def _regex_replace(
    string: str,
    regex_pattern: str,
    replace: str,
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
    count: int = 0,
) -> str:
    flags = _flags(case_insensitive, multiline, dotall)
    return re.sub(regex_pattern, replace, string, count=count, flags=flags)


def _preview(context: Context, source: Any) -> NodeResult:
    return NodeResult((), {"text": [_shown(source)]})


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return tensor_text(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_shown(item)}" for key, item in value.items()) + "}"
    return str(value)


NODES = (
    *(pure(f"Primitive{kind}", _primitive) for kind in ("Int", "Float", "Boolean", "String", "StringMultiline")),
    pure("StringConcatenate", _concatenate),
    pure("StringSubstring", _substring),
    pure("StringLength", _length),
    pure("CaseConverter", _convert_case),
    pure("StringTrim", _trim),
    pure("StringReplace", _replace),
    pure("StringContains", _contains),
    pure("StringCompare", _compare),
    pure("RegexMatch", _regex_match),
    pure("RegexExtract", _regex_extract),
    pure("RegexReplace", _regex_replace),
    recorded("PreviewAny", _preview),
)
