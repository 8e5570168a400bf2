"""The node classes of one ComfyUI, as it lists them, kept for a while. Asks nothing that touches a GPU."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ComfyError
from .client import ComfyClient
from .findings import as_mapping


class Catalog:
    """`object_info` of one ComfyUI, at most `ttl_s` old. Safe to share: of several threads one asks, the others wait,
    for what it gets as for its failure.

    Its methods raise what the client raises: ComfyUnreachable, ComfyProtocolError.
    """

    def __init__(self, client: ComfyClient, ttl_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = threading.Lock()
        self._info: Mapping[str, Any] | None = None
        self._read_at = 0.0
        self._version = ""
        self._failed_at = float("-inf")
        self._failure: ComfyError | None = None

    def object_info(self, max_age_s: float | None = None) -> Mapping[str, Any]:
        """All definitions by class; asked anew when they are older than `max_age_s` or the catalog's own limit."""
        limit = self._ttl_s if max_age_s is None else min(max_age_s, self._ttl_s)
        came_at = self._clock()
        with self._lock:
            if self._info is not None and self._clock() - self._read_at <= limit:
                return self._info
            if self._failure is not None and self._failed_at >= came_at:
                # One that does not answer takes its time about it: not once more for each who has waited.
                raise type(self._failure)(self._failure.message)
            self._info = self._asked()
            return self._info

    def age_s(self) -> float:
        """Seconds since the definitions were read; infinite when they never were."""
        with self._lock:
            return float("inf") if self._info is None else self._clock() - self._read_at

    def lookup(self, class_type: str | None) -> Mapping[str, Any]:
        """The definition of one class under its name ({} when unknown), or of all when given None."""
        info = self.object_info()
        if class_type is None:
            return info
        return {class_type: info[class_type]} if class_type in info else {}

    def version(self) -> str:
        """ComfyUI's version as it was when the definitions were read; empty when it does not tell."""
        self.object_info()
        return self._version

    def _asked(self) -> Mapping[str, Any]:
        try:
            info = self._client.object_info(max_age_s=0)
        except ComfyError as error:
            self._failed_at, self._failure = self._clock(), error
            raise
        self._read_at, self._failure = self._clock(), None
        self._version = self._asked_version()
        return info

    def _asked_version(self) -> str:
        try:
            stats = self._client.system_stats()
        except ComfyError:
            return ""
        return str(as_mapping(stats.get("system")).get("comfyui_version") or "")
