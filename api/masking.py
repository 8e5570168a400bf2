"""Takes credentials and bulk data out of whatever may leave the machine: log events, quoted log lines."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_NAMES = (
    r"api[_-]?key|access[_-]?key(?:[_-]?id)?|awsaccesskeyid|secret|token|passw(?:or)?d|signature|credential"
    r"|x-amz-[a-z-]{1,40}"
)
# Callers' words get in here, and one expression at work stops all threads: whatever repeats has a bound, or a text of
# the same beginnings over and over takes the square of its length.
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/=]+"), "<data URI>"),
    (re.compile(r"\b([a-z][a-z0-9+.-]{0,30})://[^\s/@\"']{1,200}@", re.IGNORECASE), r"\1://***@"),
    (re.compile(r"((?:https?|wss?)://[^\s?\"'<>]{1,1000})\?[^\s\"'<>]+"), r"\1?***"),
    (re.compile(r"(?i)\b(authorization[\"']?\s*[:=]\s*[\"']?)[^\"',}\n]+"), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 ***"),
    (
        re.compile(rf"(?i)((?:{_NAMES})(?:[_-]\w{{1,40}})?[\"']?\s{{0,20}}[:=]\s{{0,20}}[\"']?)[^\s\"',;&)}}\]]{{4,}}"),
        r"\1***",
    ),
    (re.compile(r"(?i)\b(sig=)[^\s\"'&]+"), r"\1***"),
    (re.compile(r"\beyJ[\w-]{8,2000}\.[\w-]{8,4000}\.[\w-]*"), "***"),  # JSON web token
    (
        re.compile(
            r"\b(?:(?:hf_|ghp_|github_pat_|glpat-|sk-proj-|sk-ant-|rpa_|r8_|xox[abp]-|whsec_)[\w-]{16,}|sk-\w{20,})"
        ),
        "***",
    ),
    (re.compile(r"\bcomfyui-[0-9a-f]{32,}"), "***"),  # key of comfy.org
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "***"),
    (re.compile(r"[A-Za-z0-9+/]{100,}={0,2}"), "<base64>"),
)
_SECRET_NAME = re.compile(rf"(?i)(?:{_NAMES}|authorization|cookie)(?:[_-]\w+)?\Z")
_DEEPEST = 8
_SHORT = 100


def mask(text: str) -> str:
    """The text without tokens, keys, passwords, authorisation headers, URL queries and base64 data."""
    return _mask_short(text) if len(text) <= _SHORT else _masked_text(text)


# Log lines say the same short things again and again, and looking for all of this takes longer than writing them.
@lru_cache(maxsize=1024)
def _mask_short(text: str) -> str:
    return _masked_text(text)


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name))


def _masked_text(text: str) -> str:
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text


def masked(value: Any, name: str = "", *, depth: int = 0) -> Any:
    """The value with every text in it masked, in lists and objects too; what is called a secret goes wholly."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if _is_secret(name):
        return "***"
    if isinstance(value, str):
        return mask(value)
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            return {mask(str(key)): masked(item, str(key), depth=depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [masked(item, depth=depth + 1) for item in value]
    return mask(str(value))
