"""Which models there are: files of this machine, and of types without a folder here what the ComfyUIs say they have."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import ComfyError, ModelTypeUnknown
from .folders import Model, ModelFolders, is_model, type_in


class Source(Protocol):
    """A ComfyUI. Both raise ComfyError."""

    def model_folders(self) -> Sequence[str]:
        """The names of its folders of models."""

    def models_in(self, folder: str) -> Sequence[str]:
        """The names of the files in one of them."""


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model file of a ComfyUI elsewhere: no more than its name is known of it."""

    type: str
    name: str


class ModelListing:
    """`sources` are the ComfyUIs there are now; what they say is at most `ttl_s` old. Safe to share between threads."""

    def __init__(
        self,
        folders: ModelFolders,
        sources: Callable[[], Sequence[Source]],
        ttl_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = folders
        self._sources = sources
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = threading.Lock()
        self._offered: tuple[float, tuple[OfferedModel, ...]] | None = None

    def type_of(self, text: str) -> str:
        """The type that is meant by its name or its folder's. Raises ModelTypeUnknown."""
        try:
            return self._folders.type_of(text)
        except ModelTypeUnknown:
            if (name := type_in(text)) and any(model.type == name for model in self._elsewhere()):
                return name
            raise

    def models(self, model_type: str | None = None) -> list[Model | OfferedModel]:
        """All models, or those of a type (its own name), by type. May read the disk and ask the ComfyUIs."""
        here = self._folders.models(model_type)
        if model_type is not None and self._folders.has(model_type):
            return [*here]
        elsewhere = [model for model in self._elsewhere() if model_type in {None, model.type}]
        return sorted([*here, *elsewhere], key=lambda model: model.type)

    def _elsewhere(self) -> tuple[OfferedModel, ...]:
        with self._lock:
            if self._offered is None or self._clock() - self._offered[0] > self._ttl_s:
                answers = [answer for source in self._sources() if (answer := self._asked(source)) is not None]
                found = {model for answer in answers for model in answer}
                # While nobody answers the next call asks again.
                asked_at = self._clock() if answers else float("-inf")
                self._offered = asked_at, tuple(sorted(found, key=lambda model: (model.type, model.name)))
            # A folder may have come to be here since.
            return tuple(model for model in self._offered[1] if not self._folders.has(model.type))

    def _asked(self, source: Source) -> list[OfferedModel] | None:
        """What it has; None when it does not answer, so that what the others have is told all the same."""
        found: list[OfferedModel] = []
        try:
            for folder in source.model_folders():
                name = type_in(folder)
                if name is not None and not self._folders.has(name):
                    found += [OfferedModel(name, file) for file in source.models_in(folder) if is_model(file)]
        except ComfyError:
            return None
        return found
