"""Progress of one prompt: progress_state, progress and preview frames, in the order a client sees them."""

from collections.abc import Callable
from typing import Any

from PIL import Image

from . import frames

# (format, image, longest side or None for full size)
Preview = tuple[str, Image.Image, int | None]
Send = Callable[[str, dict[str, Any] | bytes], None]


def as_preview(preview: Any) -> Preview:
    """A bare image is a JPEG preview of the usual size."""
    if isinstance(preview, Image.Image):
        return "JPEG", preview, frames.PREVIEW_MAX_SIZE
    image_format, image, max_size = preview
    return image_format, image, max_size


class Progress:
    """All nodes that are not pending any more; every change repeats them all, as 0.3.64 does."""

    def __init__(self, prompt_id: str, send: Send, wants_metadata: Callable[[], bool]) -> None:
        self._prompt_id = prompt_id
        self._send = send
        self._wants_metadata = wants_metadata
        self._nodes: dict[str, dict[str, Any]] = {}

    def start(self, node_id: str) -> None:
        self._set(node_id, 0.0, 1.0, "running")

    def finish(self, node_id: str) -> None:
        """Floats when the node reported nothing, its own ints when it did, ints 1/1 when it came from the cache."""
        maximum = self._nodes[node_id]["max"] if node_id in self._nodes else 1
        self._set(node_id, maximum, maximum, "finished")

    def update(self, node_id: str, value: Any, maximum: Any, preview: Any = None) -> None:
        self._set(node_id, value, maximum, "running")
        first = preview is not None and self._wants_metadata()
        if first:
            self._send_preview(node_id, as_preview(preview), with_metadata=True)
        data = {"value": value, "max": maximum, "prompt_id": self._prompt_id, "node": node_id}
        self._send("progress", data)
        if preview is not None and not first:
            self._send_preview(node_id, as_preview(preview), with_metadata=False)

    def image(self, node_id: str, image: Image.Image) -> None:
        """A full-size PNG frame without a step."""
        self._send_preview(node_id, ("PNG", image, None), with_metadata=self._wants_metadata())

    def text(self, node_id: str, content: str) -> None:
        self._send("text", frames.text(node_id, content))

    def _set(self, node_id: str, value: Any, maximum: Any, state: str) -> None:
        self._nodes[node_id] = frames.progress_entry(value, maximum, state, node_id, self._prompt_id)
        self._send("progress_state", {"prompt_id": self._prompt_id, "nodes": dict(self._nodes)})

    def _send_preview(self, node_id: str, preview: Preview, *, with_metadata: bool) -> None:
        if with_metadata:
            self._send("preview", frames.preview_with_metadata(*preview, node_id, self._prompt_id))
        else:
            self._send("preview", frames.preview(*preview))
