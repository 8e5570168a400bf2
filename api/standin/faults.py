"""Scripted misbehaviour by name: what a ComfyUI can do to its clients, on demand.

Set at start (`--fault name=value`) or at run time (POST /standin/faults). A value is on, off, a number or text.
"""

import threading
from collections.abc import Mapping
from typing import Any

# What GET /standin/faults lists. COUNT: `on` = always, a number = that many times, then off by itself.
FAULTS: dict[str, str] = {
    "deaf_socket": "COUNT; a socket whose clientId was connected before gets its first frames, then nothing ever",
    "stalled_socket": "on = no message is published to anybody (kept, sent once off); a clientId = from its next on",
    "drop_socket_after": "N; a socket's transport is aborted after N more frames (see drop_socket_times)",
    "drop_socket_times": "N; how many sockets drop_socket_after aborts, default 1",
    "late_history": "ms; a prompt reaches history that long after execution_success (running until then)",
    "lose_history": "COUNT; a finished prompt is in neither queue nor history, its last messages are sent",
    "dead_worker": "COUNT; the worker thread dies on taking the next prompt, which stays running for ever",
    "silent_death": "COUNT; the same by a SystemExit in the next node, which leaves no line in the log",
    "silent_node": "s; the next node takes that much longer, once: it tells nothing and sees no interrupt",
    "kill_before": "on; the process dies on the next POST /prompt before accepting it",
    "kill_during": "N; the process dies when a prompt starts its Nth node (1 = the first)",
    "kill_after": "on; the process dies when all nodes of a prompt have run (files written), before execution_success",
    "exit_code": "N; the kill_* faults end the process with this code instead of SIGKILL",
    "slow_start": "s; the port opens that much later (start option only)",
    "freeze": "s; the whole process is stopped (SIGSTOP) once for that long, from now",
    "http_500": "ENDPOINT[:TIMES]; answers 500 without doing anything; * = every endpoint",
    "http_hang": "ENDPOINT[:TIMES]; accepts the request and never answers",
    "http_delay": "ms; every answer comes that much later",
    "truncate_view": "BYTES[:TIMES]; /view announces the whole length, sends BYTES and cuts the connection",
    "view_404": "COUNT; /view says 404",
    "accept_then_500": "COUNT; POST /prompt queues the prompt and answers 500",
    "drop_prompt_answer": "COUNT; POST /prompt queues the prompt and cuts the connection instead of answering",
    "ignore_interrupt": "on; POST /interrupt answers 200 and does nothing",
    "slow_execute": "ms; every executed node takes that much longer (interruptible)",
    "disk_full": "COUNT; a saving node raises OSError ENOSPC",
    "oom": "COUNT; a node raises torch.OutOfMemoryError",
}

_OFF = ("", "off", "false", "none", "null")
_ON = ("on", "true", "yes")


class UnknownFault(ValueError):
    """A fault name that is not in the table."""


def parse(text: str) -> tuple[str, Any]:
    """`name=value` or `name` (= on) of the command line."""
    name, _, value = text.partition("=")
    return name.strip(), value.strip() if "=" in text else "on"


def _as_value(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value or None
    if not isinstance(value, str):
        return value
    if value.lower() in _OFF:
        return None
    if value.lower() in _ON:
        return True
    try:
        return float(value) if "." in value else int(value)
    except ValueError:
        return value


class Faults:
    """The faults that are on; safe to use from the event loop and the worker thread."""

    def __init__(self, initial: Mapping[str, Any] | None = None, known: Mapping[str, str] = FAULTS) -> None:
        self._known = known
        self._values: dict[str, Any] = {}
        self._lock = threading.Lock()
        for name, value in (initial or {}).items():
            self.set(name, value)

    def set(self, name: str, value: Any) -> None:
        if name not in self._known:
            raise UnknownFault(name)
        parsed = _as_value(value)
        with self._lock:
            if parsed is None:
                self._values.pop(name, None)
            else:
                self._values[name] = parsed

    def clear(self) -> None:
        with self._lock:
            self._values.clear()

    def active(self) -> dict[str, Any]:
        with self._lock:
            return dict(self._values)

    def value(self, name: str) -> Any:
        """The value as set, None when off."""
        return self._values.get(name)

    def number(self, name: str, default: float = 0.0) -> float:
        value = self._values.get(name)
        return float(value) if isinstance(value, int | float) else default

    def take(self, name: str) -> bool:
        """Is a COUNT fault on? A number counts down."""
        with self._lock:
            value = self._values.get(name)
            if value is None:
                return False
            if value is not True and isinstance(value, int | float):
                self._count_down(name, int(value), None)
            return True

    def take_for(self, name: str, path: str) -> bool:
        """The same for ENDPOINT[:TIMES]; the endpoint is a path prefix without /api."""
        with self._lock:
            value = self._values.get(name)
            if value is None:
                return False
            endpoint, _, times = str(value).partition(":")
            if value is not True and endpoint != "*" and not path.removeprefix("/api").startswith(endpoint):
                return False
            if times:
                self._count_down(name, int(times), endpoint)
            return True

    def take_limit(self, name: str) -> int | None:
        """The same for LIMIT[:TIMES]: the limit, or None when off."""
        with self._lock:
            value = self._values.get(name)
            if value is None:
                return None
            limit, _, times = str(value).partition(":")
            if times:
                self._count_down(name, int(times), limit)
            return int(limit)

    def _count_down(self, name: str, left: int, kept: str | None) -> None:
        if left <= 1:
            self._values.pop(name, None)
        else:
            self._values[name] = left - 1 if kept is None else f"{kept}:{left - 1}"
