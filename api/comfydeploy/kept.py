"""The last known good on disk, so that a gateway which starts while the API is away knows what there is."""

from pathlib import Path

from ..jobs.files import written_whole
from ..logs import get_logger
from .shelf import Entry

log = get_logger()


class KeptFiles:
    """One file per list below `folder`, for one account: its name is part of the files' names."""

    def __init__(self, folder: Path, account: str) -> None:
        self._folder = folder
        self._account = account

    def read(self, name: str) -> Entry | None:
        """What was kept; None for nothing usable."""
        try:
            return Entry.of_text(self._path(name).read_bytes())
        except OSError:
            return None

    def write(self, name: str, entry: Entry) -> None:
        """Keep it, whole or not at all. What fails is logged: it is a spare copy."""
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as file:
                file.write(entry.text().encode())
        except OSError as error:
            log.warning("The catalogue of ComfyUI Deploy cannot be kept", path=str(path), error=error.strerror)

    def _path(self, name: str) -> Path:
        return self._folder / f"{self._account}-{name}.json"
