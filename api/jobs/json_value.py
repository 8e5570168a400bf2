"""Deep copies of callers' values that are certain to be plain JSON. What is not is noted with its place."""

import math
from typing import Any, NamedTuple

from .quoting import cut, kind_of

# ComfyUI's own JSON parser gives up at about 1,000 levels; nothing real goes beyond a dozen.
_MAX_DEPTH = 64
# A workflow of 1,000 nodes has some 20,000.
MAX_VALUES = 250_000
_MAX_FLAWS = 50
NOT_TEXT = "holds half of a surrogate pair, which is not text: encode it as UTF-8"
# Python refuses to print integers over 4,300 digits; seeds end at 64 bits.
_MAX_INT_BITS = 256


class Flaw(NamedTuple):
    """A value that cannot be sent, and where it is."""

    path: tuple[str, ...]
    code: str
    message: str


class PlainCopier:
    """Copies values and collects their flaws. One per document: the limit on values counts over all copies."""

    def __init__(self, max_values: int = MAX_VALUES) -> None:
        self.flaws: list[Flaw] = []
        self._values_left = max_values
        self._path: list[str] = []

    def copy(self, value: Any) -> Any:
        """The value rebuilt from plain dicts, lists, strings and numbers; null where it had a flaw."""
        self._values_left -= 1
        if self._values_left < 0:
            # Once: everything after the limit would say the same.
            return self._flaw("too_large", "holds too many values") if self._values_left == -1 else None
        if isinstance(value, str):
            return value if encodable(value) else self._flaw("invalid_text", NOT_TEXT)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return self._number(value)
        if isinstance(value, list | dict):
            return self._container(value)
        return self._flaw("not_json", f"is not a JSON value ({kind_of(value)})")

    def _number(self, value: int | float) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return self._flaw("not_finite", "is NaN or infinite, which JSON does not know: use a number")
        if isinstance(value, int) and value.bit_length() > _MAX_INT_BITS:
            return self._flaw("out_of_range", "is a number with too many digits")
        return value

    def _container(self, value: list[Any] | dict[Any, Any]) -> Any:
        if len(self._path) > _MAX_DEPTH:
            return self._flaw("too_deep", f"is nested deeper than {_MAX_DEPTH} levels")
        if isinstance(value, list):
            return [self._below(str(index), item) for index, item in enumerate(value)]
        return {key: self._below(key, item) for key, item in value.items() if self._is_key(key)}

    def _below(self, step: str, value: Any) -> Any:
        self._path.append(step)
        copied = self.copy(value)
        self._path.pop()
        return copied

    def _is_key(self, key: Any) -> bool:
        if isinstance(key, str) and encodable(key):
            return True
        self._path.append(key if isinstance(key, str) else kind_of(key))
        self._flaw("invalid_key", "has a key that is not text")
        self._path.pop()
        return False

    def _flaw(self, code: str, message: str) -> Any:
        if len(self.flaws) < _MAX_FLAWS:
            self.flaws.append(Flaw(tuple(cut(part) for part in self._path), code, message))
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
