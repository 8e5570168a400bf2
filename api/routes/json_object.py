"""Bytes of a request to a JSON object, refused with the place of whatever strict JSON does not allow."""

import asyncio
import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..errors import Detail, InvalidInput
from ..jobs.json_value import MAX_VALUES, encodable

# No workflow goes beyond a dozen; deeper ones break the parsers behind us.
_MAX_DEPTH = 100
# Each value has one of these in front of it, and as an object of Python takes fifty times its bytes. Base64 has none.
_FRONTS = (b",", b"{", b"[")
# Seeds have 20; the time to read or print one grows with the square of its digits.
_MAX_DIGITS = 80
_SHOWN = 80
_OPENERS = (b"{", b"[")
_SURROGATES = (b"\\ud", b"\\uD")

Step = str | int
_Given = TypeVar("_Given")
_Read = TypeVar("_Read")
# One: reading holds the interpreter's lock for long at a time, and more of it at once would leave the loop without.
_reader = ThreadPoolExecutor(1, "json")


async def in_turn(read: Callable[[_Given], _Read], given: _Given) -> _Read:
    """Read something large in a thread, after all others that are being read."""
    return await asyncio.get_running_loop().run_in_executor(_reader, read, given)


class _Flaw:
    """Stands where a value of the document was that JSON does not allow."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message


def parse_object(raw: bytes) -> dict[str, Any]:
    """The object that the bytes hold. Raises InvalidInput naming the place."""
    if sum(raw.count(front) for front in _FRONTS) > MAX_VALUES:
        message = (
            f"The body holds more than {MAX_VALUES:,} values (each , {{ and [ counts): send files as base64 or URLs."
        )
        raise _invalid(message, "too_large")
    document = _Document()
    try:
        # utf-8-sig: some editors put a byte order mark in front.
        value = json.loads(
            raw.decode("utf-8-sig"),
            object_pairs_hook=document.pairs,
            parse_int=document.integer,
            parse_float=document.number,
            parse_constant=document.constant,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _invalid(f"The body is not JSON: {error.msg} at {place}.", "invalid_json", place) from None
    except UnicodeDecodeError as error:
        place = f"byte {error.start}"
        raise _invalid(f"The body is not UTF-8 at {place}.", "invalid_text", place) from None
    except RecursionError:
        raise _too_deep("") from None
    if not isinstance(value, dict):
        kind = "an array" if isinstance(value, list) else "a single value"
        raise _invalid(f"The body is not a JSON object but {kind}: send {{…}}.", "not_an_object")
    _check(raw, value, has_flaws=document.has_flaws)
    return value


class _Document:
    """The hooks of the parser; they know no place, so they leave a mark that is looked up afterwards."""

    def __init__(self) -> None:
        self.has_flaws = False

    def pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            found[twice] = self._flaw("duplicate_key", "is given twice")
        return found

    def integer(self, text: str) -> Any:
        if len(text) <= _MAX_DIGITS:
            return int(text)
        return self._flaw("out_of_range", f"is a number with more than {_MAX_DIGITS} digits")

    def number(self, text: str) -> Any:
        value = float(text)
        return value if math.isfinite(value) else self._flaw("out_of_range", "is a number that is too large")

    def constant(self, text: str) -> Any:
        return self._flaw("not_finite", f"is {text}, which JSON does not know: use a number")

    def _flaw(self, code: str, message: str) -> Any:
        self.has_flaws = True
        return _Flaw(code, message)


def _check(raw: bytes, value: dict[str, Any], *, has_flaws: bool) -> None:
    """Walk the document only where its bytes say that there may be something to find."""
    may_be_deep = sum(raw.count(opener) for opener in _OPENERS) > _MAX_DEPTH
    may_be_no_text = any(escape in raw for escape in _SURROGATES)
    if not has_flaws and (not (may_be_deep or may_be_no_text) or _is_sound(value)):
        return
    for path, found in _walk(value):
        if len(path) > _MAX_DEPTH:
            raise _too_deep(_dotted(path[:3]))
        if isinstance(found, _Flaw):
            place = _dotted(path)
            raise _invalid(f"The body cannot be read: {place} {found.message}.", found.code, place)
        if isinstance(found, str) and not encodable(found):
            place = _dotted(path)
            message = f"The body cannot be read: {place} holds half of a surrogate pair, which is not text."
            raise _invalid(message, "invalid_text", place)


def _is_sound(value: dict[str, Any]) -> bool:
    """Whether it is all text and not too deep. Several times as fast as the walk, which knows the places."""
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH + 1):
        below: list[Any] = []
        for found in level:
            if isinstance(found, dict):
                if not all(map(encodable, found)):
                    return False
                below += found.values()
            elif isinstance(found, list):
                below += found
            elif isinstance(found, str) and not encodable(found):
                return False
        if not below:
            return True
        level = below
    return False


def _walk(value: Any) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """All values with their paths, keys as values of their object. Iterative: the depth is what is being checked."""
    waiting: list[tuple[tuple[Step, ...], Any]] = [((), value)]
    while waiting:
        path, found = waiting.pop()
        yield path, found
        if isinstance(found, dict):
            for key, each in found.items():
                yield path, key
                waiting.append(((*path, key), each))
        elif isinstance(found, list):
            waiting.extend(((*path, index), each) for index, each in enumerate(found))


def _dotted(path: tuple[Step, ...]) -> str:
    text = ".".join(str(step) for step in path).encode("utf-8", "backslashreplace").decode() or "it"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _too_deep(place: str) -> InvalidInput:
    return _invalid(f"The body is nested deeper than {_MAX_DEPTH} levels.", "too_deep", place)


def _invalid(message: str, code: str, place: str = "") -> InvalidInput:
    detail = Detail(message=message, code=code)
    if place:
        detail["field"] = place
    return InvalidInput(message, [detail])
