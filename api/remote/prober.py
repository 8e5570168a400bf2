"""Looks at a remote endpoint every so often, and sooner while it is in trouble."""

import threading
from collections.abc import Callable

from ..errors import ComfyError
from ..jobs.survived import survived
from .room import Room

_FIRST_PAUSE_S = 1.0
_STOP_S = 2.0


class Prober:
    """One thread. `look` asks the endpoint once how it is and raises a ComfyError when it is not well."""

    def __init__(self, room: Room, look: Callable[[], None], interval_s: float) -> None:
        self._room = room
        self._look = look
        self._interval_s = interval_s
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"probe-{room.name}", daemon=True)

    def start(self) -> None:
        """The first look is at once."""
        self._room.on_trouble = self._wake.set
        self._thread.start()

    def stop(self) -> None:
        """End it; a look under way is waited for a little."""
        self._ended.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        pause_s = 0.0
        while True:
            self._wake.clear()
            if self._ended.is_set():
                return
            goes_well = False
            with survived("Remote target cannot be looked at", target=self._room.name):
                goes_well = self._goes_well()
            if goes_well:
                pause_s = 0.0
                self._wake.wait(self._interval_s)
            else:
                pause_s = min(max(pause_s * 2, _FIRST_PAUSE_S), self._interval_s)
                self._ended.wait(pause_s)

    def _goes_well(self) -> bool:
        try:
            self._look()
        except ComfyError as error:
            self._room.note_miss(error)
            return False
        self._room.note_answer()
        return self._room.is_healthy
