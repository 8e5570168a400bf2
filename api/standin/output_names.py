"""Names of saved files: prefix, placeholders, subfolder and the counter, `{prefix}_{counter:05}_.png`."""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

_TIMES = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S"}


@dataclass(frozen=True)
class OutputNames:
    """The free names of one save, counted from one past the highest number in the folder."""

    folder: Path
    subfolder: str
    stem: str
    first: int

    def name(self, index: int, extension: str) -> str:
        stem = self.stem.replace("%batch_num%", str(index))
        return f"{stem}_{self.first + index:05}_.{extension}"


def output_names(prefix: str, directory: Path, width: int = 0, height: int = 0) -> OutputNames:
    """Makes the folder; a prefix that leads out of the directory is refused."""
    path = os.path.normpath(_expanded(prefix, width, height))
    subfolder, stem = os.path.split(path)
    folder = Path(os.path.normpath(directory / subfolder))
    _refuse_outside(folder, directory)
    folder.mkdir(parents=True, exist_ok=True)
    return OutputNames(folder, subfolder, stem, _highest(folder, stem) + 1)


def _expanded(prefix: str, width: int, height: int) -> str:
    """`%date:…%` and `%Node.widget%` stay: those are the web page's."""
    values = {"width": str(width), "height": str(height)}
    values |= {name: time.strftime(pattern) for name, pattern in _TIMES.items()}
    for name, value in values.items():
        prefix = prefix.replace(f"%{name}%", value)
    return prefix


def _refuse_outside(folder: Path, directory: Path) -> None:
    inside = os.path.commonpath((directory, folder))
    if inside == str(directory):
        return
    # The class and the text are ComfyUI's; clients see both.
    raise Exception(  # noqa: TRY002
        "**** ERROR: Saving image outside the output folder is not allowed.\n"
        f" full_output_folder: {folder}\n         output_dir: {directory}\n         commonpath: {inside}"
    )


def _highest(folder: Path, stem: str) -> int:
    numbered = re.compile(re.escape(stem) + r"_(\d+)_")
    matches = (numbered.match(entry.name) for entry in os.scandir(folder))
    return max((int(match[1]) for match in matches if match), default=0)
