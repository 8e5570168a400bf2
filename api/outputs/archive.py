"""A copy of every output in a folder for people, by day and job. Nothing here is ever removed."""

import contextlib
from collections.abc import Callable
from datetime import date
from pathlib import Path

from ..errors import InvalidSettings
from ..ids import JobId
from ..jobs.files import link_or_copy
from ..jobs.ports import Delivered, OutputFile
from .disk import disk_error
from .naming import TakenNames, job_component, safe_component, utc_today


class Archive:
    """`{directory}/YYYY-MM-DD/{job_id}/{filename}`; the day is UTC's. A second name for the file where that can be had.

    A job that runs again leaves the outputs of its last run. Raises InvalidSettings when the folder cannot be made.
    """

    def __init__(self, directory: Path, today: Callable[[], date] = utc_today) -> None:
        self._directory = directory.absolute()
        self._today = today
        self._names = TakenNames()
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidSettings(f"OUTPUT_DIR={directory} cannot be used: {error.strerror}.") from error

    def put(self, job_id: JobId, file: OutputFile) -> Delivered:
        """The file's path there. Raises DiskFull or DeliveryFailed."""
        folder = self._directory / self._today().isoformat() / job_component(job_id)
        target = folder / self._names.claim(job_id, safe_component(file.filename), file)
        part = target.with_name(f".part-{target.name}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            link_or_copy(file.path, part)
            # Scratch files are the worker's own; these are for others to read. Some volumes know no modes.
            with contextlib.suppress(PermissionError):
                part.chmod(0o644)
            part.replace(target)
            part.unlink(missing_ok=True)  # still there when both were the same file already
        except OSError as error:
            raise disk_error(error, f"keep {file.filename} in {self._directory}") from error
        return Delivered("file", str(target))
