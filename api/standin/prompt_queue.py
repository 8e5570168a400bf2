"""ComfyUI's in-memory queue: pending heap, running, history, all under one lock.

A prompt is always in exactly one of the three; deleting a pending one leaves no trace.
"""

import heapq
import threading
from collections.abc import Callable
from typing import Any

# (number, prompt_id, prompt, extra_data, output ids). The heap compares whole tuples: two pending prompts with equal
# number and id compare their dicts, which raises after the item went in (0.3.64: answer 500, yet queued).
Item = tuple[Any, str, dict[str, Any], Any, list[str]]
HISTORY_CAPACITY = 10_000
SECRETS = ("api_key_comfy_org", "auth_token_comfy_org")


class PromptQueue:
    """Thread-safe; `changed` is called, inside the lock, whenever the count may have changed."""

    def __init__(self, changed: Callable[[int], None]) -> None:
        self._changed = changed
        self._lock = threading.RLock()
        self._woken = threading.Condition(self._lock)
        self._pending: list[Item] = []
        self._running: dict[int, Item] = {}
        self._history: dict[str, dict[str, Any]] = {}
        self._flags: dict[str, bool] = {}
        self._next_run = 0

    def remaining(self) -> int:
        with self._lock:
            return len(self._pending) + len(self._running)

    def put(self, item: Item) -> None:
        with self._lock:
            heapq.heappush(self._pending, item)
            self._tell()
            self._woken.notify()

    def get(self, timeout_s: float) -> tuple[int, Item] | None:
        """The next prompt, now running; None when woken for the flags or timed out."""
        with self._lock:
            if not self._pending and not self._flags:
                self._woken.wait(timeout_s)
            if not self._pending:
                return None
            item = heapq.heappop(self._pending)
            run = self._next_run
            self._next_run += 1
            self._running[run] = item
            self._tell()
            return run, item

    def finish(self, run: int, entry: dict[str, Any] | None) -> None:
        """Move a running prompt to history; None loses it."""
        with self._lock:
            number, prompt_id, prompt, extra_data, outputs = self._running.pop(run)
            if entry is not None:
                if len(self._history) > HISTORY_CAPACITY:
                    self._history.pop(next(iter(self._history)))
                item = [number, prompt_id, prompt, without_secrets(extra_data), outputs]
                self._history[prompt_id] = {"prompt": item, **entry}
            self._tell()

    def snapshot(self) -> tuple[list[Item], list[Item]]:
        """Running and pending, the latter in heap order."""
        with self._lock:
            return list(self._running.values()), list(self._pending)

    def is_running(self, prompt_id: Any) -> bool:
        with self._lock:
            return any(item[1] == prompt_id for item in self._running.values())

    def clear(self) -> None:
        with self._lock:
            self._pending = []
            self._tell()

    def delete(self, prompt_id: Any) -> None:
        """Drop the first pending prompt of that id; the only pending one is told twice."""
        with self._lock:
            for index, item in enumerate(self._pending):
                if item[1] != prompt_id:
                    continue
                if len(self._pending) == 1:
                    self.clear()
                else:
                    self._pending.pop(index)
                    heapq.heapify(self._pending)
                self._tell()
                return

    def history(self, max_items: int | None, offset: int) -> dict[str, Any]:
        with self._lock:
            entries = list(self._history.items())
        if max_items is None:
            return dict(entries[max(offset, 0) :])
        start = len(entries) - max_items if offset < 0 else offset
        return dict(entries[max(start, 0) :][: max(max_items, 0)])

    def history_of(self, prompt_id: str) -> dict[str, Any]:
        with self._lock:
            return {prompt_id: self._history[prompt_id]} if prompt_id in self._history else {}

    def clear_history(self) -> None:
        with self._lock:
            self._history = {}

    def delete_history(self, prompt_id: Any) -> None:
        with self._lock:
            self._history.pop(prompt_id, None)

    def set_flag(self, name: str) -> None:
        with self._lock:
            self._flags[name] = True
            self._woken.notify()

    def take_flags(self) -> dict[str, bool]:
        with self._lock:
            flags, self._flags = self._flags, {}
            return flags

    def _tell(self) -> None:
        self._changed(len(self._pending) + len(self._running))


def without_secrets(extra_data: Any) -> Any:
    """Keys of API nodes never reach history; other extra data stays for ever."""
    if not isinstance(extra_data, dict):
        return extra_data
    return {key: value for key, value in extra_data.items() if key not in SECRETS}
