"""One list of ComfyUI Deploy, kept: fresh for a while, then shown old while it is asked anew, at last from disk."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..deploy_errors import DeployError, DeployUnreachable
from ..logs import get_logger
from .rows import KEPT, Row, slim

log = get_logger()

# Other gateways may have dropped or renewed what is shared; that often it is looked at.
_LOOK_S = 2.0
# Longest wait for another gateway that asks already.
_LEASE_S = 30.0
_POLL_S = 0.05
# Longest wait of those who have a caller waiting.
_SOON_S = 5.0
# After a failure they are left alone for that long, unless nothing at all is known.
_REST_S = 5.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A list as it was at `at`, epoch seconds."""

    rows: Sequence[Row]
    at: float

    def text(self) -> str:
        """For keeping, as JSON."""
        return json.dumps({"at": self.at, "rows": list(self.rows)})

    @classmethod
    def of_text(cls, text: str | bytes) -> "Entry | None":
        """What was kept; None for nothing usable."""
        try:
            content = json.loads(text)
            rows, at = content["rows"], float(content["at"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        is_list = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
        return cls(tuple(rows), at) if is_list else None


class Kept(Protocol):
    """Where the last known good outlives the process."""

    def read(self, name: str) -> Entry | None:
        """What was kept; None for nothing usable."""

    def write(self, name: str, entry: Entry) -> None:
        """Keep it. Raises nothing."""


class Shared(Protocol):
    """What several gateways have in common; every call may say None or False when it is away."""

    def read(self, name: str) -> Entry | None:
        """What any gateway has fetched."""

    def write(self, name: str, entry: Entry, keep_s: float) -> None:
        """Let the others have it."""

    def drop(self, name: str) -> None:
        """Have it fetched anew."""

    def lease(self, name: str, for_s: float) -> str | None:
        """The right to ask, for that long at most; "" when there is nobody to share with, None when another has it."""

    def give_back(self, name: str, lease: str) -> None:
        """Return the right, if it is still one's own."""


class Shelf:
    """One list. Any thread may take from it; one at a time asks for it anew.

    `quick` is the fetch that gives up soon, for when there is something to show instead.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[], Sequence[Row]],
        ttl_s: float,
        *,
        quick: Callable[[], Sequence[Row]] | None = None,
        kept: Kept | None = None,
        shared: Shared | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._fetch = fetch
        self._quick = quick or fetch
        self._ttl_s = ttl_s
        self._kept = kept
        self._shared = shared
        self._clock = clock
        self._entry: Entry | None = None
        self._is_dropped = False
        self._is_offline = False
        self._looked_at = 0.0
        self._failed_at = 0.0
        self._error: DeployError | None = None
        self._asking = threading.Lock()
        self._renewing = threading.Event()

    def rows(self, *, patient: bool = True) -> Sequence[Row]:
        """The list, at once if there is any, however old. Raises DeployError only where nothing is known at all.

        Who is not `patient` waits for seconds at most, and then takes what was last known.
        """
        entry = self._entry
        if entry is None or self._is_dropped:
            return self._asked(patient=patient).rows
        if self._is_due(entry) and not self._renewing.is_set():
            self._renewing.set()
            threading.Thread(target=self._renew, name=f"deploy-{self.name}", daemon=True).start()
        return entry.rows

    def known(self) -> Sequence[Row] | None:
        """The list as it was last, asking nobody; None where nothing has been asked yet."""
        entry = self._entry
        return None if entry is None else entry.rows

    def check(self) -> None:
        """Ask for it unless it is fresh. Raises DeployError while they are away."""
        entry = self._entry
        is_old = entry is None or self._clock() - entry.at >= self._ttl_s
        if not (is_old or self._is_dropped or self._is_offline):
            return
        with self._asking:
            try:
                self._taken(self._fetched_once())
            except DeployError as error:
                self._last_known(error)
                raise

    def is_older(self, seconds: float) -> bool:
        """Whether it was asked for longer ago, or never."""
        entry = self._entry
        return entry is None or self._clock() - entry.at > seconds

    def drop(self) -> None:
        """Forget that it is fresh: the next look asks, here and at the other gateways."""
        if self._shared is not None:
            self._shared.drop(self.name)
        self._is_dropped, self._failed_at = True, 0.0

    def facts(self) -> dict[str, Any]:
        """How old it is and how it is doing."""
        entry = self._entry
        age_s = None if entry is None else round(self._clock() - entry.at, 3)
        return {
            "entries": None if entry is None else len(entry.rows),
            "fetched_at": None if entry is None else entry.at,
            "age_s": age_s,
            "ttl_s": self._ttl_s,
            "is_fresh": age_s is not None and age_s < self._ttl_s and not self._is_dropped,
            "is_offline": self._is_offline,
            "error": self._error.message if self._error else None,
        }

    def _is_due(self, entry: Entry) -> bool:
        now = self._clock()
        if now - self._failed_at < _REST_S:
            return False
        return now - entry.at >= self._ttl_s or (self._shared is not None and now - self._looked_at >= _LOOK_S)

    def _renew(self) -> None:
        try:
            self._asked()
        except DeployError as error:
            log.warning("ComfyUI Deploy cannot be asked", list=self.name, code=error.code, error=error.message)
        finally:
            self._renewing.clear()

    def _asked(self, *, patient: bool = True) -> Entry:
        """As fresh as it gets; what was last known when they are away. Raises DeployError."""
        if not self._asking.acquire(timeout=-1 if patient else _SOON_S):
            if self._entry is not None:
                return self._entry
            raise DeployUnreachable(f"ComfyUI Deploy does not say what {self.name} there are; try again in a moment.")
        try:
            entry = self._entry
            if entry is not None and not self._is_dropped and not self._is_due(entry):
                return entry  # another thread has asked meanwhile
            try:
                entry = self._fetched_once(patient=patient)
            except DeployError as error:
                return self._last_known(error)
            self._taken(entry)
            return entry
        finally:
            self._asking.release()

    def _fetched_once(self, *, patient: bool = True) -> Entry:
        if self._shared is None:
            return self._fetched(patient=patient)
        self._looked_at = self._clock()
        until = time.monotonic() + (_LEASE_S if patient else _SOON_S)
        while True:
            found = self._shared.read(self.name)
            if found is not None and self._clock() - found.at < self._ttl_s:
                return found
            lease = self._shared.lease(self.name, _LEASE_S)
            if lease is not None:
                try:
                    return self._fetched_for_all(self._shared, patient=patient)
                finally:
                    self._shared.give_back(self.name, lease)
            if time.monotonic() > until:
                return self._fetched(patient=patient)
            threading.Event().wait(_POLL_S)

    def _fetched_for_all(self, shared: Shared, *, patient: bool) -> Entry:
        # Whoever had the right before may have been quicker.
        found = shared.read(self.name)
        if found is not None and self._clock() - found.at < self._ttl_s:
            return found
        entry = self._fetched(patient=patient)
        shared.write(self.name, entry, self._ttl_s)
        return entry

    def _fetched(self, *, patient: bool) -> Entry:
        at = self._clock()
        has_spare = self._entry is not None or (self._kept is not None and self._kept.read(self.name) is not None)
        rows = self._fetch() if patient and not has_spare else self._quick()
        entry = Entry(tuple(slim(row, KEPT[self.name]) for row in rows), at)
        if self._kept is not None:
            self._kept.write(self.name, entry)
        return entry

    def _taken(self, entry: Entry) -> None:
        if self._is_offline:
            log.info("ComfyUI Deploy answers again", list=self.name)
        self._entry, self._error = entry, None
        self._is_dropped, self._is_offline, self._failed_at = False, False, 0.0

    def _last_known(self, error: DeployError) -> Entry:
        entry = self._entry or (self._kept.read(self.name) if self._kept else None)
        self._error, self._failed_at = error, self._clock()
        if entry is None or not error.retryable:
            # A wrong key is no outage: what the account has is none of a stranger's business.
            self._entry = None if not error.retryable else entry
            raise error
        if not self._is_offline:
            log.warning("ComfyUI Deploy is away; the last known good goes on", list=self.name, error=error.message)
        self._entry, self._is_offline, self._is_dropped = entry, True, False
        return entry
