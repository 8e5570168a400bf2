"""A prompt that needs no model, to see that a ComfyUI runs prompts and does not only answer."""

import random
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from ..comfyui.limits import RunLimits
from ..comfyui.run import End, run_prompt
from ..comfyui.submit import PromptBody
from ..errors import ComfyWedged, WorkerError
from ..ids import PromptId
from ..jobs.cancel import CancelToken
from .instance import Instance

_SIZE = 16


def run_canary(instance: Instance, limits: RunLimits, timeout_s: float, stop: CancelToken) -> PromptId:
    """Have the ComfyUI run a small prompt; its id, whose history entry stays as a mark of this process.

    Raises ComfyWedged when it does not within `timeout_s`, waiting behind others included, or says that it failed; and
    what running a prompt raises.
    """
    over = CancelToken()
    stop.on_cancel(over.cancel)
    timer = threading.Timer(timeout_s, over.cancel)
    timer.daemon = True
    timer.start()
    prompt_id = PromptId(str(uuid.uuid4()))
    try:
        end = run_prompt(
            instance.client,
            instance.stream,
            PromptBody(_workflow()),
            prompt_id,
            emit=lambda _event: None,
            cancel=over,
            limits=limits,
            worker=instance.worker,
        )
    finally:
        timer.cancel()
    stop.raise_if_set()
    error = end.entry.error() if end.entry else _late(timeout_s)
    if end.end is not End.FINISHED or error:
        raise ComfyWedged(f"It answers, but does not run prompts. {error.message if error else ''}".rstrip())
    return prompt_id


def _late(timeout_s: float) -> WorkerError:
    return ComfyWedged(f"A small one was not done within {timeout_s:g} s.")


def _workflow() -> Mapping[str, Mapping[str, Any]]:
    # Another color each time: from the cache it would show nothing.
    color = random.randrange(1 << 24)  # noqa: S311 - no secret
    picture = {"width": _SIZE, "height": _SIZE, "batch_size": 1, "color": color}
    return {
        "1": {"class_type": "EmptyImage", "inputs": picture},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
