"""One ComfyUI as the worker uses it: its HTTP client, its socket, its process when start.sh keeps it here."""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..comfyui.client import ComfyClient
from ..comfyui.crash import to_error
from ..comfyui.cutoff import Cutoff
from ..comfyui.findings import as_mapping
from ..comfyui.process import ComfyProcess
from ..comfyui.stream import ComfyStream
from ..comfyui.worker_thread import WorkerThread
from ..errors import ComfyDied, ComfyError, ComfyNotStarted, ComfyUnreachable, Detail, PromptLost, WorkerError
from ..ids import InstanceName
from ..jobs.cancel import CancelToken
from ..logs import get_logger

_RETRIES_UNSUPERVISED = 500
_SOCKET_S = 5.0
_TOLD_EVERY_S = 10.0
_KNOCK_S = 2.0
# The code of the detail that says that a ComfyUI which has ended is not back, and that nobody here will start it.
NOT_BACK = "not_back"

log = get_logger()


@dataclass(frozen=True, slots=True)
class StartPatience:
    """How to wait for a ComfyUI that is not up yet. `max_retries` 0 = while its process lives, 500 without one."""

    interval_s: float
    max_retries: int
    timeout_s: float


class Instance:
    """Holds what is kept open to one ComfyUI. Safe to share between job threads."""

    def __init__(
        self,
        name: InstanceName,
        client: ComfyClient,
        stream: ComfyStream,
        process: ComfyProcess,
        patience: StartPatience,
    ) -> None:
        self.name = name
        self.client = client
        self.stream = stream
        self.process = process
        self.worker = WorkerThread(process.pid)
        self._patience = patience
        self._facts: Mapping[str, Any] | None = None
        # The name of its GPU, as it last told.
        self.device: str | None = None

    def wait_ready(self, cancel: CancelToken) -> None:
        """Return as soon as ComfyUI can be used; at once when its socket is open and its process not known to be gone.

        Raises ComfyNotStarted with the reason when it will not come up, ComfyUnreachable when it is away.
        """
        # The end of its process may not have reached the socket yet.
        if not self.stream.connected or self.process.alive() is False:
            self._wait_for_http(cancel)
            self._facts = None
            if not self.stream.ensure_connected(_SOCKET_S, cancel):
                cancel.raise_if_set()
                # HTTP decides; without the socket the job only loses its progress.
                log.warning("WebSocket not available, following over HTTP", instance=self.name)
        with suppress(ComfyError):
            self.worker.meet(self.client.queue_remaining)

    def wait_back(self, deadline: float, cancel: CancelToken) -> None:
        """Wait for a ComfyUI that has gone away. Raises ComfyUnreachable when it is not back by then (monotonic)."""

        def give_up_late(error: ComfyError, _misses: int) -> None:
            if time.monotonic() >= deadline:
                raise error

        self._look_until_up(give_up_late, cancel)

    def facts(self) -> Mapping[str, Any]:
        """`{"comfyui_version", "pytorch_version", "device"}`, asked once; empty when ComfyUI does not say."""
        facts = self._facts
        if facts is None:
            try:
                facts = self._facts = _facts(self.client.system_stats())
                self.device = facts["device"]
            except ComfyError:
                return {}
        return facts

    def autopsy(self, error: WorkerError, since: float, last_node: str | None) -> WorkerError:
        """The error of a ComfyUI that went away after `since` (epoch seconds): why it died, when that is known."""
        if not self.process.supervised():
            return self._seen(error, last_node)
        if not self._died_since(since):
            gone = "ComfyUI has no trace of the prompt any more, though it was not restarted."
            return PromptLost(gone) if isinstance(error, ComfyDied) else error
        return to_error(self.process.autopsy(last_node=last_node, since=since))

    def restart(self, seen_at: float) -> bool:
        """End the ComfyUI that was seen stuck at `seen_at` (epoch seconds), so that start.sh starts another.

        False when it is not ours to end. One started since then is left alone: another job has seen to it.
        """
        if not self.process.supervised():
            return False
        started_at = self.process.started_at()
        if started_at is not None and started_at <= seen_at:
            log.warning("ComfyUI is stuck, restarting it", instance=self.name)
            self.process.kill()
        return True

    def close(self) -> None:
        """Close the socket and the connections."""
        self.stream.close()
        self.client.close()

    def _seen(self, error: WorkerError, last_node: str | None) -> WorkerError:
        """An end that can only be seen from outside, told with the ComfyUI's name and the node."""
        is_away = isinstance(error, ComfyUnreachable) and last_node is not None and self._is_closed()
        if not (is_away or isinstance(error, ComfyDied)):
            return error
        told = f"ComfyUI at {self.name} ended while the job was executing"
        if last_node is None:
            return ComfyDied(f"{told}.")
        detail = Detail(node_id=last_node, message="It was being executed when ComfyUI ended.")
        if is_away:
            detail["code"] = NOT_BACK
        return ComfyDied(f"{told} node {last_node}.", [detail])

    def _is_closed(self) -> bool:
        """Whether nothing listens where it was: the machine says so, which no broken network can."""
        address = urlsplit(self.client.base_url)
        port = address.port or (443 if address.scheme == "https" else 80)
        try:
            socket.create_connection((address.hostname or "", port), _KNOCK_S).close()
        except OSError as error:
            return isinstance(error, ConnectionRefusedError)
        return False

    def _died_since(self, moment: float) -> bool:
        """Whether a process ended after `moment`; a lost history of a living one has nothing to do with its log."""
        record = self.process.last_exit()
        return self.process.alive() is not True or (record is not None and record.at >= moment)

    def _wait_for_http(self, cancel: CancelToken) -> None:
        deadline = time.monotonic() + self._patience.timeout_s
        told_at = 0.0

        def tell_and_judge(error: ComfyError, misses: int) -> None:
            nonlocal told_at
            if time.monotonic() - told_at >= _TOLD_EVERY_S:
                told_at = time.monotonic()
                log.info("Waiting for ComfyUI", instance=self.name, reason=error.message)
            self._give_up_or_go_on(error, misses, deadline)

        self._look_until_up(tell_and_judge, cancel)

    def _look_until_up(self, judge: Callable[[ComfyError, int], None], cancel: CancelToken) -> None:
        """Look until ComfyUI answers. `judge` gets each failure and how many there were; it raises to end it."""
        client = self.client.cut_by(Cutoff(cancel))
        pause = threading.Event()
        cancel.on_cancel(pause.set)
        misses = 0
        while True:
            try:
                client.queue_remaining()
            except ComfyError as error:
                cancel.raise_if_set()
                misses += 1
                judge(error, misses)
            else:
                return
            pause.wait(self._patience.interval_s)
            cancel.raise_if_set()

    def _give_up_or_go_on(self, error: ComfyError, attempts: int, deadline: float) -> None:
        if self.process.gave_up():
            raise to_error(self.process.autopsy())
        supervised = self.process.supervised()
        limit = self._patience.max_retries or (0 if supervised else _RETRIES_UNSUPERVISED)
        if (not limit or attempts < limit) and time.monotonic() < deadline:
            return
        if supervised:
            raise to_error(self.process.autopsy(), never_up=True)
        # Whoever leaves the port out means ComfyUI's more often than the web's.
        port = "" if urlsplit(self.client.base_url).port else " (without a port that is 80 or 443, ComfyUI's is 8188)"
        raise ComfyNotStarted(
            f"The ComfyUI at {self.client.base_url}{port} cannot be used: {error.message.rstrip('.')}. "
            "Start one there, or point COMFY_HOST at one; "
            "COMFY_STANDIN=true ./start.sh starts the CPU stand-in instead."
        )


def _facts(stats: Mapping[str, Any]) -> dict[str, Any]:
    system, devices = as_mapping(stats.get("system")), stats.get("devices")
    devices = devices if isinstance(devices, list) else []
    names = [str(device.get("name")) for device in devices if isinstance(device, dict)]
    return {
        "comfyui_version": system.get("comfyui_version"),
        "pytorch_version": system.get("pytorch_version"),
        "device": ", ".join(names) or None,
    }
