"""Makes ComfyUI forget a finished job, off the job's own thread: history entry, uploads, outputs."""

import queue
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from ..comfyui.client import ComfyClient
from ..errors import ComfyError
from ..ids import PromptId
from ..logs import get_logger

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Order:
    folder: str
    prompt_ids: tuple[PromptId, ...]


class Cleaner:
    """One thread with a list of what is to be forgotten. `root` is ComfyUI's folder when it is on this machine.

    ComfyUI has no request that deletes a file, and keeps whole prompts in its history: without this both grow.
    """

    def __init__(self, client: ComfyClient, root: Path | None) -> None:
        self._client = client
        self._root = root
        self._orders: queue.SimpleQueue[_Order | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="cleaner", daemon=True)
        self._thread.start()

    def forget(self, folder: str, prompt_ids: tuple[PromptId, ...]) -> None:
        """Queue the clean-up of a job's prompts and of its folder below ComfyUI's input and output folders."""
        self._orders.put(_Order(folder, prompt_ids))

    def settle(self) -> None:
        """Wait until everything queued so far is done."""
        done = threading.Event()
        self._orders.put(done)
        done.wait(timeout=10)

    def close(self) -> None:
        """Finish what is queued, then end the thread."""
        self._orders.put(None)
        self._thread.join(timeout=10)

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            if isinstance(order, threading.Event):
                order.set()
            else:
                self._forget(order)

    def _forget(self, order: _Order) -> None:
        if order.prompt_ids:
            try:
                self._client.delete_history(*order.prompt_ids)
            except ComfyError as error:
                log.debug("History entry stays", error=error.message)
        if self._root is not None:
            for kind in ("input", "output"):
                shutil.rmtree(self._root / kind / order.folder, ignore_errors=True)
