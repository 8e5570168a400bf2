"""A file of JSON that people change while the worker runs: read again when it is new, the last sound version stays."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from ..jobs.quoting import cut
from ..logs import get_logger

_LOOK_EVERY_S = 0.5
_MOST_BYTES = 10_000_000
_MOST_TOLD = 5

log = get_logger()
Value = TypeVar("Value")
Model = TypeVar("Model", bound=BaseModel)
_Signature = tuple[int, int, int] | str


class Unreadable(Exception):
    """What is wrong with the file, and where in it; `findings` one by one."""

    def __init__(self, *findings: str) -> None:
        more = f" (and {len(findings) - _MOST_TOLD} more)" if len(findings) > _MOST_TOLD else ""
        super().__init__("; ".join(findings[:_MOST_TOLD]) + more)
        self.findings = findings


class LiveFile(Generic[Value]):
    """`read` makes the value of an object of JSON and raises Unreadable. Safe from any thread.

    Without a path, and until there is a sound file, the value is `otherwise`.
    """

    def __init__(
        self,
        path: Path | None,
        read: Callable[[Mapping[str, Any]], Value],
        otherwise: Value,
        *,
        look_every_s: float = _LOOK_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self._read = read
        self._value = otherwise
        self._look_every_s = look_every_s
        self._clock = clock
        self._look_at = float("-inf")
        self._seen: _Signature | None = None
        self._looking = threading.Lock()
        self.problem: str | None = None
        # Epoch seconds.
        self.loaded_at: float | None = None

    def get(self) -> Value:
        """The value of now. While another thread reads the file, that of before."""
        if self.path is not None and self._clock() >= self._look_at and self._may_look():
            try:
                self._look(self.path)
            finally:
                self._looking.release()
        return self._value

    def _may_look(self) -> bool:
        # The very first value is waited for: before it there is none.
        return self._looking.acquire(blocking=self._seen is None)

    def _look(self, path: Path) -> None:
        if self._clock() < self._look_at:
            return
        signature = _signature(path)
        if signature != self._seen:
            self._take(path)
            self._seen = signature
        self._look_at = self._clock() + self._look_every_s

    def _take(self, path: Path) -> None:
        try:
            self._value = self._read(read_object(path))
        except Unreadable as error:
            self.problem = f"{path.name}: {error}"
            log.warning("A file cannot be used, what was read before stays", path=str(path), error=str(error))
            return
        self.problem, self.loaded_at = None, time.time()
        log.info("File read", path=str(path))


def read_object(path: Path) -> dict[str, Any]:
    """The object of JSON in the file; a key that is in it twice is refused. Raises Unreadable."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise Unreadable(f"is larger than {_MOST_BYTES // 1_000_000} MB")
        document = json.loads(content, object_pairs_hook=_once_each)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except _Twice as error:
        raise Unreadable(f"{cut(str(error))} is there twice") from None
    except (ValueError, RecursionError):
        raise Unreadable("is not JSON: it is no UTF-8, or nested too deep") from None
    if not isinstance(document, dict):
        raise Unreadable("must hold an object")
    return document


def validated(model: type[Model], document: Mapping[str, Any]) -> Model:
    """The model of the document. Raises Unreadable that names each field."""
    try:
        return model.model_validate(dict(document))
    except ValidationError as error:
        raise Unreadable(*dict.fromkeys(_told(finding) for finding in error.errors(include_url=False))) from None


class _Twice(Exception):
    pass


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Twice(key)
        found[key] = value
    return found


def _told(finding: Any) -> str:
    # Of several models that a value might be, pydantic names each in capitals.
    parts = [cut(str(part)) for part in finding["loc"] if str(part) != "[key]" and not str(part)[:1].isupper()]
    text = finding["msg"].removeprefix("Value error, ")
    return f"{'.'.join(parts) or 'the file'}: {text[:1].lower()}{text[1:]}"


def _signature(path: Path) -> _Signature:
    try:
        status = path.stat()
    except OSError as error:
        return str(error.strerror)
    return status.st_mtime_ns, status.st_size, status.st_ino
