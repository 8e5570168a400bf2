"""The worker thread: takes prompts from the queue one by one, runs them, moves them to history.

Inputs that kill ComfyUI's worker thread kill this one too; the prompt then stays running for ever.
"""

import errno
import logging
import os
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

from .executor import Cached, Directories, Hooks, PromptRun, Result
from .faults import Faults
from .node_types import Interrupted, NodeClass
from .prompt_queue import Item, PromptQueue
from .sockets import Sockets

_LOG = logging.getLogger(__name__)
_WAKE_UP_S = 1000.0
_POLL_S = 0.005
_SAVING = ("Save", "Preview", "MaskPreview")


def _out_of_memory() -> Exception:
    kind = type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch"})
    failure: Exception = kind("Allocation on device 0 would exceed allowed memory. (out of memory)")
    return failure


class Engine:
    """Queue, worker, cache and the interrupt flag of one server."""

    def __init__(
        self, nodes: Mapping[str, NodeClass], directories: Directories, sockets: Sockets, faults: Faults
    ) -> None:
        self.nodes = nodes
        self.directories = directories
        self.queue = PromptQueue(sockets.send_status)
        self._sockets = sockets
        self._faults = faults
        self._interrupted = threading.Event()
        self._cache: dict[str, Cached] = {}
        # As in ComfyUI the client id stays set after a run; only the node is cleared.
        self._client_id: Any = None
        self._node_id: str | None = None
        sockets.remaining = self.queue.remaining
        sockets.running_node = lambda client_id: self._node_id if self._client_id == client_id else None

    def start(self) -> None:
        # The name ComfyUI's thread has: people grep the log for it.
        threading.Thread(target=self._work, name="Thread-1 (prompt_worker)", daemon=True).start()

    def interrupt(self, prompt_id: Any) -> None:
        """Stop what runs; with an id only if that prompt runs now."""
        if self._faults.value("ignore_interrupt"):
            return
        if prompt_id is None or self.queue.is_running(prompt_id):
            self._interrupted.set()

    def die_before(self) -> None:
        if self._faults.value("kill_before"):
            self._die()

    def _work(self) -> None:
        while True:
            taken = self.queue.get(_WAKE_UP_S)
            if self.queue.take_flags().get("free_memory"):  # idle: at once; busy: before the next prompt
                self._cache.clear()
            if taken is not None:
                self._run(*taken)

    def _run(self, run: int, item: Item) -> None:
        if self._faults.take("dead_worker"):
            raise RuntimeError("dead_worker: this stand-in was told to lose its worker thread")
        started = time.perf_counter()
        extra_data: Any = item[3]
        # `in` first: extra_data null raises here and kills the thread, a list or text does not.
        self._client_id = extra_data["client_id"] if "client_id" in extra_data else None  # noqa: SIM401
        self._interrupted.clear()
        prompt_run = PromptRun(item, self._client_id, self._cache, self.nodes, self.directories, self._hooks())
        result = prompt_run.execute()
        if self._faults.value("kill_after"):
            self._die()
        if result.success:
            prompt_run.succeed()
        self._node_id = None
        self._finish(run, result)
        _LOG.info("Prompt executed in %.2f seconds", time.perf_counter() - started)
        if self._client_id is not None:
            self._sockets.send("executing", {"node": None, "prompt_id": item[1]}, self._client_id)

    def _finish(self, run: int, result: Result) -> None:
        """History first, then status, then `executing null`: the one order clients can rely on."""
        time.sleep(self._faults.number("late_history") / 1000)
        self.queue.finish(run, None if self._faults.take("lose_history") else result.history_entry())

    def _hooks(self) -> Hooks:
        return Hooks(
            self._sockets.send,
            self._sockets.wants_metadata,
            self._check_interrupt,
            self._executing,
            self._before_node,
        )

    def _executing(self, node_id: str, prompt_id: str) -> None:
        if self._client_id is None:
            return
        self._node_id = node_id
        data = {"node": node_id, "display_node": node_id, "prompt_id": prompt_id}
        self._sockets.send("executing", data, self._client_id)

    def _check_interrupt(self) -> None:
        if self._interrupted.is_set():
            self._interrupted.clear()
            raise Interrupted

    def _before_node(self, node_class: NodeClass, count: int) -> None:
        """The faults that strike when a node is about to run."""
        if self._faults.take("silent_death"):
            raise SystemExit
        if (silence_s := self._faults.number("silent_node")) > 0:
            self._faults.set("silent_node", None)
            time.sleep(silence_s)
        if self._faults.value("kill_during") == count:
            self._die()
        deadline = time.monotonic() + self._faults.number("slow_execute") / 1000
        while time.monotonic() < deadline:
            self._check_interrupt()
            time.sleep(_POLL_S)
        if self._faults.take("oom"):
            raise _out_of_memory()
        if node_class.name.startswith(_SAVING) and self._faults.take("disk_full"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _die(self) -> None:
        """End the process at once, after what was already said has been sent."""
        if threading.current_thread() is not threading.main_thread():
            self._sockets.flush(1.0)
        code = self._faults.value("exit_code")
        if code is not None:
            os._exit(int(code))
        os.kill(os.getpid(), signal.SIGKILL)
