"""The file sink: outputs kept in a folder, usually on the network volume, each there whole or not at all."""

import contextlib
import os
import shutil
from pathlib import Path

from ..errors import DeliveryFailed, OutputUnavailable
from ..ids import JobId
from ..jobs.files import disk_full, written_whole
from ..jobs.ports import Delivered, OutputFile
from .naming import TakenNames, job_component, safe_component

_CHUNK_BYTES = 1024 * 1024


def disk_error(error: OSError, doing: str) -> DeliveryFailed:
    """An OSError of writing as the error a caller can act on."""
    reason = error.strerror or type(error).__name__
    return disk_full(error, doing) or DeliveryFailed(f"Could not {doing}: {reason}; check the folder's rights.")


class DiskSink:
    """Copies each output to `{directory}/{job_id}/{filename}`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._names = TakenNames()

    def put(self, job_id: JobId, file: OutputFile) -> Delivered:
        """The file's absolute path there. Raises DiskFull, OutputUnavailable or DeliveryFailed."""
        folder = self._directory / job_component(job_id)
        target = folder / self._names.claim(job_id, safe_component(file.filename), file)
        if not file.path.is_file():
            raise OutputUnavailable(f"The output {file.filename} is no longer where it was fetched to.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with file.path.open("rb") as source, written_whole(target) as copy:
                shutil.copyfileobj(source, copy, _CHUNK_BYTES)
                # For the volume's other readers too; some network volumes know no modes.
                with contextlib.suppress(PermissionError):
                    os.fchmod(copy.fileno(), 0o644)
        except OSError as error:
            raise disk_error(error, f"keep {file.filename} in {self._directory}") from error
        return Delivered("file", str(target))
