"""A node that stands for one with a model: it has to be loaded, takes its time, and only one is kept in memory."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from .declaration import invented
from .node_types import Context, NodeClass, NodeResult

_LOG = logging.getLogger(__name__)
_SLICE_S = 0.02


class _Memory:
    """Of a process."""

    def __init__(self) -> None:
        self._loaded: str | None = None

    def use(self, context: Context, image: Any, model: str, load_s: float = 1.0) -> NodeResult:
        """Loads the model unless it is there; tests count these lines of the log."""
        if model != self._loaded:
            self._loaded = None
            _LOG.info("Requested to load %s", model)
            until = time.monotonic() + load_s
            while (left := until - time.monotonic()) > 0:
                context.progress(0, 1)
                time.sleep(min(_SLICE_S, left))
            self._loaded = model
        return NodeResult((image,))


def model_nodes(names: Sequence[str]) -> dict[str, NodeClass]:
    """`StandinModel`, offering these models; nothing without any."""
    if not names:
        return {}
    node = invented(
        "StandinModel",
        _Memory().use,
        description="Stand-in only. Passes its input on, once its model is loaded; loading another puts it out.",
        required={"image": ["*", {}], "model": [sorted(names), {}]},
        optional={"load_s": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 3600.0}]},
        outputs=("*",),
    )
    return {node.name: node}
