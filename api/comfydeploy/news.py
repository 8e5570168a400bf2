"""What webhooks say of runs. They are unsigned: all they do is wake whoever then asks for the run itself."""

import re
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

RECEIVER = "/api/deploy/webhook"
_MARK = "cd-"
# Each step of a run may be told, and what is told is asked for: so often at most.
_LEAST_S = 0.2
_ENDED = ("success", "failed", "timeout", "cancelled")
_ID = re.compile(r"[\w-]{1,64}", re.ASCII)


def new_marker() -> str:
    """What tells the webhooks of one run: nobody can guess it, and it is the run's name before it has an id."""
    return f"{_MARK}{secrets.token_urlsafe(24)}"


def is_marker(text: str) -> bool:
    """Whether it is a marker rather than the id of a run."""
    return text.startswith(_MARK)


def receiver_url(webhook_url: str) -> str:
    """Where webhooks go: WEBHOOK_URL, with our own path unless it has one."""
    parts = urlsplit(webhook_url)
    return webhook_url.rstrip("/") + (RECEIVER if parts.path in {"", "/"} else "")


class Waiting:
    """One run that is waited for. `claimed` is the id a webhook gave, to be checked."""

    def __init__(self) -> None:
        self._woken = threading.Event()
        self._urgent = threading.Event()
        self.claimed: str | None = None
        self.heard = 0

    def wake(self, run_id: str | None = None, *, is_urgent: bool = True) -> None:
        """Something may have changed."""
        self.claimed = run_id or self.claimed
        if is_urgent:
            self._urgent.set()
        self._woken.set()

    def wait(self, seconds: float) -> None:
        """Until something is heard, or so long. News that come in heaps are heard at once only when urgent."""
        until = time.monotonic() + min(seconds, _LEAST_S)
        self._woken.wait(seconds)
        self._urgent.wait(max(0.0, until - time.monotonic()))
        self._woken.clear()


class News:
    """The runs of this process that webhooks may tell of. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Waiting] = {}

    def expect(self, marker: str) -> Waiting:
        """From now on webhooks with the marker wake it."""
        with self._lock:
            return self._waiting.setdefault(marker, Waiting())

    def forget(self, marker: str) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._waiting.pop(marker, None)

    def is_expected(self, marker: str) -> bool:
        """Whether anybody here waits for the run with that marker."""
        with self._lock:
            return marker in self._waiting

    def told(self, marker: str, body: Mapping[str, Any]) -> bool:
        """A webhook has come; False when nobody here waits for it."""
        with self._lock:
            waiting = self._waiting.get(marker)
        if waiting is None:
            return False
        waiting.heard += 1
        run_id = body.get("run_id")
        is_id = isinstance(run_id, str) and _ID.fullmatch(run_id)
        waiting.wake(run_id if is_id else None, is_urgent=body.get("status") in _ENDED)
        return True
