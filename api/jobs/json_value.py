"""Deep copies of callers' values that are certain to be plain JSON. What is not is noted with its place."""

import math
from typing import Any, NamedTuple

from .quoting import cut, kind_of

# ComfyUI's own JSON parser gives up at about 1,000 levels; nothing real goes beyond a dozen.
_MAX_DEPTH = 64
_MAX_VALUES = 1_000_000
_MAX_FLAWS = 50
# Python refuses to print integers over 4,300 digits; seeds end at 64 bits.
_MAX_INT_BITS = 256


class Flaw(NamedTuple):
    """A value that cannot be sent, and where it is."""

    path: tuple[str, ...]
    code: str
    message: str


class PlainCopier:
    """Copies values and collects their flaws. One per document: the limit on values counts over all copies."""

    def __init__(self, max_values: int = _MAX_VALUES) -> None:
        self.flaws: list[Flaw] = []
        self._values_left = max_values

    def copy(self, value: Any, path: tuple[str, ...] = ()) -> Any:
        """The value rebuilt from plain dicts, lists, strings and numbers; null where it had a flaw."""
        self._values_left -= 1
        if self._values_left < 0:
            # Once: everything after the limit would say the same.
            return self._flaw(path, "too_large", "holds too many values") if self._values_left == -1 else None
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, int | float):
            return self._number(value, path)
        if len(path) > _MAX_DEPTH and isinstance(value, dict | list):
            return self._flaw(path, "too_deep", f"is nested deeper than {_MAX_DEPTH} levels")
        if isinstance(value, list):
            return [self.copy(item, (*path, str(index))) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return self._object(value, path)
        return self._flaw(path, "not_json", f"is not a JSON value ({kind_of(value)})")

    def _text(self, value: str, path: tuple[str, ...]) -> Any:
        if encodable(value):
            return value
        return self._flaw(path, "invalid_text", "holds half of a surrogate pair, which is not text: encode it as UTF-8")

    def _number(self, value: int | float, path: tuple[str, ...]) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return self._flaw(path, "not_finite", "is NaN or infinite, which JSON does not know: use a number")
        if isinstance(value, int) and value.bit_length() > _MAX_INT_BITS:
            return self._flaw(path, "out_of_range", "is a number with too many digits")
        return value

    def _object(self, value: dict[Any, Any], path: tuple[str, ...]) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        for key, item in value.items():
            if isinstance(key, str) and encodable(key):
                copied[key] = self.copy(item, (*path, key))
            else:
                place = cut(key) if isinstance(key, str) else kind_of(key)
                self._flaw((*path, place), "invalid_key", "has a key that is not text")
        return copied

    def _flaw(self, path: tuple[str, ...], code: str, message: str) -> Any:
        if len(self.flaws) < _MAX_FLAWS:
            self.flaws.append(Flaw(tuple(cut(part) for part in path), code, message))
        return None


def encodable(text: str) -> bool:
    """Whether the text can be written as UTF-8, which a lone surrogate cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
