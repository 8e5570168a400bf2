"""The numbers of ended jobs in a JSON file of their own. One process writes it; readers never meet half of it."""

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import InvalidSettings
from ..jobs.durations import Experience
from ..jobs.ends import ALL_TIME, Ends, Series
from ..jobs.files import translated_disk_errors, written_whole
from ..logs import get_logger

log = get_logger()

_FORMAT = 1
_KEPT_SUBJECTS = 1000


class FileLedger:
    """`Ledger` in a file, which is read once. Raises InvalidSettings where it can never be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._ends: dict[Series, Ends] = {}
        self._experience: dict[str, Experience] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._read()
        except OSError as error:
            raise InvalidSettings(f"METRICS_FILE_PATH={path} cannot be used: {error.strerror}.") from error

    def add(self, news: Mapping[Series, Ends], learned: Mapping[str, Experience]) -> Mapping[str, Experience]:
        """Add, and write the file anew. Raises DiskFull, OSError; then nothing was added."""
        with self._lock:
            whole = {series: _sum(self._ends.get(series), more) for series, more in news.items()}
            known = {subject: _newer(self._experience.get(subject), more) for subject, more in learned.items()}
            others = {subject: known for subject, known in self._experience.items() if subject not in learned}
            experience = dict(list({**others, **known}.items())[-_KEPT_SUBJECTS:])
            self._write({**self._ends, **whole}, experience)
            self._ends |= whole
            self._experience = experience
            return {subject: _newer(None, each) for subject, each in known.items()}

    def ends(self, since: int) -> Iterable[tuple[Series, Ends]]:
        """The lines of the hours from `since` on, and those of all time."""
        with self._lock:
            return [
                (series, _sum(None, ends))
                for series, ends in self._ends.items()
                if series.hour == ALL_TIME or series.hour >= since
            ]

    def experience(self) -> Mapping[str, Experience]:
        """What is kept of durations, the least recently changed first."""
        with self._lock:
            return {subject: _newer(None, each) for subject, each in self._experience.items()}

    def prune(self, before: int) -> None:
        """Forget the hours before; in the file from its next writing on."""
        with self._lock:
            self._ends = {
                series: ends for series, ends in self._ends.items() if series.hour == ALL_TIME or series.hour >= before
            }

    def _read(self) -> None:
        try:
            kept = json.loads(self._path.read_bytes())
            ends = {Series(int(hour), flow, at): Ends.of_json(data) for hour, flow, at, data in kept["ends"]}
            experience = {subject: Experience.of_json(data) for subject, data in kept["durations"].items()}
        except FileNotFoundError:
            return
        except (ValueError, TypeError, KeyError, AttributeError):
            spare = self._path.with_name(f"{self._path.name}.broken")
            self._path.replace(spare)
            log.warning("The metrics file cannot be read; a new one is begun", kept_as=str(spare))
            return
        self._ends, self._experience = ends, experience

    def _write(self, ends: Mapping[Series, Ends], experience: Mapping[str, Experience]) -> None:
        document: dict[str, Any] = {
            "format": _FORMAT,
            "ends": [[*series, each.as_json()] for series, each in sorted(ends.items())],
            "durations": {subject: each.as_json() for subject, each in experience.items()},
        }
        with translated_disk_errors(self._path), written_whole(self._path) as file:
            file.write(json.dumps(document, separators=(",", ":")).encode())


def _sum(known: Ends | None, more: Ends) -> Ends:
    total = Ends()
    for each in (known, more):
        if each is not None:
            total.merge(each)
    return total


def _newer(known: Experience | None, more: Experience) -> Experience:
    """One that holds both; neither of them is changed."""
    total = Experience.of_json(known.as_json()) if known else Experience()
    total.add(more.samples, more.pace)
    return total
