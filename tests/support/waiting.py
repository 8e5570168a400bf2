"""Waiting for a condition instead of sleeping: `wait_for(lambda: path.exists(), "the file")`."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str, timeout_s: float = 30.0) -> T:
    """The first truthy value of `condition`; fails the test when there is none in time."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain for: {what}")
        pause.wait(0.02)
    return value
