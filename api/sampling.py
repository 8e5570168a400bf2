"""What is too slow to be asked whenever metrics are read: looked at now and then, and remembered."""

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from .gpu import Gpu, GpuProbe

_GPU_EVERY_S = 10.0
_SPOOL_EVERY_S = 300.0
# Walking through a large spool takes this share of the time at most.
_SPOOL_SHARE = 0.01


class Sampler:
    """One thread. What has not been looked at yet is empty, or None."""

    def __init__(self, probe: GpuProbe, spool: Path) -> None:
        self._probe = probe
        self._spool = spool
        self._gpus: Sequence[Gpu] = ()
        self._spool_bytes: int | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="sampler", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, or leave it to its last look."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    @property
    def gpus(self) -> Sequence[Gpu]:
        """As of a few seconds ago."""
        return self._gpus

    @property
    def spool_bytes(self) -> int | None:
        """What the jobs' files take, as of a few minutes ago."""
        return self._spool_bytes

    def _work(self) -> None:
        spool_at = 0.0
        while not self._stopping.is_set():
            self._gpus = self._probe.sample()
            if time.monotonic() >= spool_at:
                began = time.monotonic()
                self._spool_bytes = self._size()
                took_s = time.monotonic() - began
                spool_at = time.monotonic() + max(_SPOOL_EVERY_S, took_s / _SPOOL_SHARE)
            self._stopping.wait(_GPU_EVERY_S)

    def _size(self) -> int | None:
        total = 0
        for folder, _, names in os.walk(self._spool):
            if self._stopping.is_set():
                return self._spool_bytes
            for name in names:
                try:
                    # Blocks, not lengths: what is gone from the disk for others.
                    total += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118 - many, so cheaply
                except OSError:
                    continue
        return total
