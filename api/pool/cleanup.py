"""Makes ComfyUI forget a finished job, off the job's own thread: history entry, uploads, outputs, previews."""

import contextlib
import queue
import shutil
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..comfyui.client import ComfyClient
from ..errors import ComfyError
from ..ids import PromptId
from ..logs import get_logger

# A ComfyUI that hangs may hold the list up; then the files have been there for longer than anybody needs them.
_AWAITED_S = 5.0

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Order:
    folder: str
    prompt_ids: tuple[PromptId, ...]
    previews: tuple[str, ...]


class Cleaner:
    """One thread with a list of what is to be forgotten. `root` is ComfyUI's folder when it is on this machine.

    `temp` is where its previews are when that is not in `root`.

    ComfyUI has no request that deletes a file, and keeps whole prompts in its history: without this both grow.
    """

    def __init__(self, client: ComfyClient, root: Path | None, temp: Path | None = None) -> None:
        self._client = client
        self._root = root
        self._temp = temp or (root or Path()) / "temp"
        self._changed = threading.Condition()
        self._waiting: Counter[str] = Counter()
        self._orders: queue.SimpleQueue[_Order | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="cleaner", daemon=True)
        self._thread.start()

    def forget(self, folder: str, prompt_ids: tuple[PromptId, ...], previews: Iterable[str] = ()) -> None:
        """Queue the clean-up of a job's prompts, and of its folder below ComfyUI's input and output folders.

        `previews` are files below ComfyUI's temp folder, where no job has a folder of its own.
        """
        with self._changed:
            self._waiting[folder] += 1
        self._orders.put(_Order(folder, prompt_ids, tuple(previews)))

    def await_gone(self, folder: str) -> None:
        """Wait until no clean-up of that folder is to come: a job that runs again may use it again."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting[folder], timeout=_AWAITED_S)

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
        if self._root is not None:
            for kind in ("input", "output"):
                shutil.rmtree(self._root / kind / order.folder, ignore_errors=True)
            for preview in order.previews:
                _remove(self._temp, preview)
        with self._changed:
            self._waiting[order.folder] -= 1
            self._waiting += Counter()  # drops what is done
            self._changed.notify_all()
        if order.prompt_ids:
            try:
                self._client.delete_history(*order.prompt_ids)
            except ComfyError as error:
                log.debug("History entry stays", error=error.message)


def _remove(folder: Path, name: str) -> None:
    """The name comes from a node: it may lead anywhere, and to what is no file."""
    path = (folder / name).resolve()
    if path.is_relative_to(folder.resolve()):
        with contextlib.suppress(OSError):
            path.unlink()
