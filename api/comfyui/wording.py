"""Text of ComfyUI made fit for a caller: no absolute path, no traceback, bounded, in a stable order."""

import re

_PATH_END = r"[^\s/\\'\"<>|:,;()\[\]{}]"
_UNIX_PATH = re.compile(rf"(?:file://|(?<![\w.:/…]))/(?:{_PATH_END}+/)+({_PATH_END}*)")
_WINDOWS_PATH = re.compile(rf"(?<!\w)[A-Za-z]:[\\/]+(?:{_PATH_END}+[\\/]+)*({_PATH_END}*)")
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n?)*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NUMBERS = re.compile(r"(\d+)")


def presentable(text: str, limit: int = 500) -> str:
    """The text stripped, without tracebacks, absolute paths cut to their last part, at most `limit` characters."""
    text = _CONTROL.sub("", _TRACEBACK.sub("", text[: limit * 20]))
    text = _WINDOWS_PATH.sub(r"…/\1", _UNIX_PATH.sub(r"…/\1", text)).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def presentable_value(value: object) -> object:
    """A received input value as it may be quoted: strings made presentable, large things as their text, cut."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return presentable(value if isinstance(value, str) else repr(value), 200)


def natural_key(node_id: str) -> tuple[tuple[int, str], ...]:
    """Sort key that puts node 9 before node 10, and 2.0.0.1 after 2."""
    return tuple((len(part), part) if part.isdecimal() else (-1, part) for part in _NUMBERS.split(node_id) if part)
