"""What nodes and engine say to each other: arrays, results, the context of a call, and a node class.

Knows no node and no engine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage

# IMAGE is batch, height, width, channels in 0..1; MASK the same without channels.
Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.float32]
# A bare picture, or (format, picture, longest side or None for full size).
Preview = PILImage.Image | tuple[str, PILImage.Image, int | None]

Inputs = dict[str, Any]
Fingerprint = Callable[[Path, Inputs], Any]
Validate = Callable[[Path, Inputs], str | None]


class Interrupted(Exception):
    """The user stopped the prompt; ends the run without being an error of the node."""


@dataclass(frozen=True)
class NodeResult:
    """One value per output slot, and what `executed` and history tell about an output node."""

    outputs: tuple[Any, ...] = ()
    ui: dict[str, Any] | None = None


class Context(Protocol):
    """The world as one running node sees it."""

    @property
    def input_dir(self) -> Path: ...
    @property
    def output_dir(self) -> Path: ...
    @property
    def temp_dir(self) -> Path: ...
    @property
    def prompt(self) -> dict[str, Any]: ...
    @property
    def extra_pnginfo(self) -> dict[str, Any] | None: ...
    @property
    def node_id(self) -> str: ...

    def progress(self, value: int, maximum: int, preview: Preview | None = None) -> None:
        """Tell a step; raises Interrupted when the user asked for that."""

    def send_image(self, image: PILImage.Image) -> None:
        """A full-size PNG frame to the client."""


class TextContext(Context, Protocol):
    """A context that sends progress text as well."""

    def send_text(self, text: str) -> None: ...


@dataclass(frozen=True)
class NodeClass:
    """A node as the engine knows it. `info` is its object_info entry.

    `fingerprint` (IS_CHANGED) makes an unchanged node run again when its value differs; `validate` (VALIDATE_INPUTS)
    answers what is wrong with the constants, or None. Both get the input directory and the constant inputs.
    """

    name: str
    run: Callable[..., NodeResult]
    info: dict[str, Any]
    fingerprint: Fingerprint | None = None
    validate: Validate | None = None
    input_is_list: bool = False
