"""Text of ComfyUI made fit for a caller: no absolute path, no traceback, bounded, in a stable order."""

import re

_PATH_END = r"[^\s/\\'\"<>|:,;()\[\]{}]"
_UNIX_PATH = re.compile(rf"(?:file://|(?<![\w.:/…]))/(?:{_PATH_END}+/)+({_PATH_END}*)")
_WINDOWS_PATH = re.compile(rf"(?<!\w)[A-Za-z]:[\\/]+(?:{_PATH_END}+[\\/]+)*({_PATH_END}*)")
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n?)*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def presentable(text: str, limit: int = 500) -> str:
    """The text stripped, without tracebacks, absolute paths cut to their last part, at most `limit` characters."""
    text = text[: limit * 20].encode("utf-8", "replace").decode()  # a lone surrogate cannot be sent
    text = _CONTROL.sub("", _TRACEBACK.sub("", text))
    text = _WINDOWS_PATH.sub(r"…/\1", _UNIX_PATH.sub(r"…/\1", text)).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def presentable_value(value: object) -> object:
    """A received input value as it may be quoted: strings made presentable, large things as their text, cut."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return presentable(value if isinstance(value, str) else repr(value), 200)
