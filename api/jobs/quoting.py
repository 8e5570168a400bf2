"""Callers' text made fit to be quoted in a message: bounded, on one line, always encodable."""

from typing import Any

_LIMIT = 80


def cut(text: str, limit: int = _LIMIT) -> str:
    """The text with at most `limit` characters; control characters and lone surrogates shown as escapes."""
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def cut_any(value: str | int | float) -> str:
    """`cut` of the value as text. Python refuses to print integers over 4,300 digits."""
    return "a very large number" if isinstance(value, int) and value.bit_length() > 1000 else cut(str(value))


def quote(text: str, limit: int = _LIMIT) -> str:
    """`cut` in quotes."""
    return f"'{cut(text, limit)}'"


def kind_of(value: Any) -> str:
    """What JSON calls the value: "a string", "a list"; for what JSON does not know, Python's type name."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    for types, kind in _KINDS:
        if isinstance(value, types):
            return kind
    return cut(type(value).__name__)


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, "a string"),
    ((int, float), "a number"),
    (list, "a list"),
    (dict, "an object"),
)


def listed(items: list[str], limit: int = 3) -> str:
    """The first items joined to one sentence part, and how many more there are."""
    more = f" (and {len(items) - limit} more)" if len(items) > limit else ""
    return " ".join(items[:limit]) + more
