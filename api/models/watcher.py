"""Tells of changes in folders as they happen, where the file system says so. Elsewhere nothing is told."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ..logs import get_logger

# New folders are noticed by looking, so often.
_LOOK_AGAIN_S = 60.0
_DEBOUNCE_MS = 500

log = get_logger()


class FolderWatcher:
    """One thread. `folders` gives what is to be watched now, `changed` is called after a burst of changes."""

    def __init__(self, folders: Callable[[], Sequence[Path]], changed: Callable[[], None]) -> None:
        self._folders = folders
        self._changed = changed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="model-watcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _work(self) -> None:
        while not self._stopping.is_set():
            folders = list(self._folders())
            try:
                if folders:
                    self._watch(folders)
            except (OSError, RuntimeError) as error:
                log.warning("Model folders cannot be watched, they are looked at instead", error=str(error))
            self._stopping.wait(_LOOK_AGAIN_S)

    def _watch(self, folders: list[Path]) -> None:
        """Until stopped, or until there are other folders."""
        from watchfiles import watch

        changes = watch(
            *folders,
            watch_filter=lambda _change, path: not Path(path).name.startswith("."),
            debounce=_DEBOUNCE_MS,
            stop_event=self._stopping,
            rust_timeout=round(_LOOK_AGAIN_S * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        for found in changes:
            if found:
                self._changed()
            if list(self._folders()) != folders:
                return
