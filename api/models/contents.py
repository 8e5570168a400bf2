"""What lies in the model files of this machine, told by their headers alone; kept until a file changes."""

from functools import lru_cache
from pathlib import Path, PurePosixPath

from ..errors import InvalidInputFile
from . import safetensors
from .folders import ModelFolders

_MOST_KEPT = 32


class ModelContents:
    """Safe to share between threads."""

    def __init__(self, folders: ModelFolders) -> None:
        self._folders = folders
        self._read = lru_cache(maxsize=_MOST_KEPT)(_shapes)

    def shapes(self, model_type: str, name: str) -> dict[str, list[int]] | None:
        """The shapes of a model's tensors; None when it is not here, or no file that tells. `name` as ComfyUI's."""
        wanted = name.replace("\\", "/")
        for model in self._folders.models(model_type):
            if model.file.name == wanted and PurePosixPath(wanted).suffix.lower() in safetensors.SUFFIXES:
                return self._read(model.file.path, model.file.size_bytes, model.file.mtime_ns)
        return None


def _shapes(path: Path, _size_bytes: int, _mtime_ns: int) -> dict[str, list[int]] | None:
    try:
        return safetensors.shapes(path)
    except (InvalidInputFile, OSError):
        return None
