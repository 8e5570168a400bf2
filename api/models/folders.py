"""Which types of models there are, in which folders each lies, and what lies there. Listings are kept for a while."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import ModelTypeUnknown
from .files import FoundFile, files_below

# ComfyUI's own folders (folder_paths.py of 0.38.1), by what they are called here.
_FOLDERS: Mapping[str, tuple[str, ...]] = {
    "checkpoints": ("checkpoints",),
    "loras": ("loras",),
    "vae": ("vae",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "upscale": ("upscale_models",),
    # With their names before ComfyUI gave them others.
    "text_encoders": ("text_encoders", "clip"),
    "diffusion_models": ("diffusion_models", "unet"),
    **{
        name: (name,)
        for name in (
            *("audio_encoders", "clip_vision", "diffusers", "embeddings", "gligen", "hypernetworks"),
            *("latent_upscale_models", "model_patches", "photomaker", "style_models", "vae_approx"),
        )
    },
}
_TYPES = {folder: name for name, folders in _FOLDERS.items() for folder in folders}
# Settings and code of ComfyUI's, not models.
_NO_MODELS = {"configs", "custom_nodes"}
PICKLES = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl"})
SAFE = frozenset({".gguf", ".onnx", ".safetensors", ".sft"})
_SUFFIXES = SAFE | PICKLES | {".pt2"}


@dataclass(frozen=True, slots=True)
class Model:
    """One model file."""

    type: str
    file: FoundFile


class ModelFolders:
    """`bases` hold a folder per type, like ComfyUI's `models`; `own` names the one folder of a type instead.

    Safe to share between threads; a listing is at most `ttl_s` old.
    """

    def __init__(
        self,
        bases: Sequence[Path],
        own: Mapping[str, Path],
        ttl_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bases = tuple(bases)
        self._own = dict(own)
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = threading.Lock()
        self._listed: tuple[float, tuple[Model, ...]] | None = None

    def type_of(self, text: str) -> str:
        """The type that is meant by its name or its folder's. Raises ModelTypeUnknown."""
        name = _TYPES.get(text, text)
        if name not in self.types():
            raise ModelTypeUnknown(f"There is no model type {text[:60]!r}; there are: {', '.join(self.types())}.")
        return name

    def types(self) -> list[str]:
        """ComfyUI's types, and the folders beside theirs."""
        found = {_TYPES.get(path.name, path.name) for base in self._bases for path in _subfolders(base)}
        return sorted({*_FOLDERS, *self._own, *found} - _NO_MODELS)

    def roots(self, model_type: str) -> list[Path]:
        """The folders of a type that there are, or may be; new files go into the first."""
        if model_type in self._own:
            return [self._own[model_type]]
        folders = _FOLDERS.get(model_type, (model_type,))
        places = [base / folder for folder in folders for base in self._bases]
        # One that is there comes before one that would have to be made.
        return sorted(places, key=lambda path: not path.is_dir())

    def has(self, model_type: str) -> bool:
        """Whether there is a folder of the type here."""
        return any(root.is_dir() for root in self.roots(model_type))

    def watched(self) -> list[Path]:
        """The folders to be told of changes in, of those that there are."""
        return [path for path in (*self._bases, *self._own.values()) if path.is_dir()]

    def models(self, model_type: str | None = None) -> list[Model]:
        """All models, or those of a type (its own name). May read the disk."""
        with self._lock:
            if self._listed is None or self._clock() - self._listed[0] > self._ttl_s:
                self._listed = self._clock(), tuple(self._list())
            listed = self._listed[1]
        return [model for model in listed if model_type in {None, model.type}]

    def changed(self) -> None:
        """What is kept may be wrong."""
        with self._lock:
            self._listed = None

    def _list(self) -> list[Model]:
        found: list[Model] = []
        for model_type in self.types():
            names: set[str] = set()
            for root in self.roots(model_type):
                # The same name in a later folder is not what ComfyUI would load.
                files = [file for file in files_below(root, is_model) if file.name not in names]
                names |= {file.name for file in files}
                found += [Model(model_type, file) for file in files]
        return found


def type_in(folder: str) -> str | None:
    """The type of the models in a folder of ComfyUI's by its name; None for one without models."""
    return None if folder in _NO_MODELS else _TYPES.get(folder, folder)


def is_model(name: str) -> bool:
    """Whether a file of that name is taken for a model."""
    return PurePosixPath(name).suffix.lower() in _SUFFIXES


def _subfolders(base: Path) -> list[Path]:
    try:
        return [path for path in base.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []
