"""The last known good on disk, so that a gateway which starts while the API is away knows what there is."""

import json
import tempfile
from pathlib import Path

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
            content = json.loads(self._path(name).read_text(encoding="utf-8"))
            rows, at = content["rows"], float(content["at"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        is_list = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
        return Entry(tuple(rows), at) if is_list else None

    def write(self, name: str, entry: Entry) -> None:
        """Keep it, whole or not at all. What fails is logged: it is a spare copy."""
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as file:
                json.dump({"at": entry.at, "rows": list(entry.rows)}, file)
            Path(file.name).replace(path)
        except OSError as error:
            log.warning("The catalogue of ComfyUI Deploy cannot be kept", path=str(path), error=error.strerror)

    def _path(self, name: str) -> Path:
        return self._folder / f"{self._account}-{name}.json"
