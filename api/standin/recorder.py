"""The test nodes the recordings were made with (Rec*): nodes that wait, raise, block or answer oddly on request.

A real ComfyUI has them only with the recorder's custom node file; here they are always there.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from .node_call import Blocked
from .node_types import Context, Interrupted, NodeClass, NodeResult, TextContext

_IMAGE = ("IMAGE",)
_STRING = ("STRING", {"default": ""})


def _out_of_memory(message: str) -> Exception:
    kind = type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch"})
    failure: Exception = kind(message)
    return failure


def _missing_file(message: str) -> Exception:
    return FileNotFoundError(2, "No such file or directory", "/nonexistent/file.bin")


_RAISED: dict[str, Callable[[str], BaseException]] = {
    "ValueError": ValueError,
    "RuntimeError": RuntimeError,
    "KeyError": KeyError,
    "AssertionError": AssertionError,
    "FileNotFound": _missing_file,
    "OOM": _out_of_memory,
    "Interrupt": lambda message: Interrupted(),
    "SystemExit": SystemExit,
    "BaseException": BaseException,
}


def _sleep(
    context: Context, image: Any, steps: int, dt: float, seed: int, preview: str, progress: bool = True
) -> NodeResult:
    for step in range(1, steps + 1):
        time.sleep(dt)
        if progress:
            shown = None if preview == "none" else (preview, _picture(step / steps), 512)
            context.progress(step, steps, shown)
    return NodeResult((image,))


def _picture(share: float) -> Image.Image:
    row = np.linspace(0, 255 * share, 96, dtype=np.uint8)
    return Image.fromarray(np.stack([np.tile(row, (64, 1))] * 3, axis=-1))


def _async(context: Context, image: Any, steps: int, dt: float, seed: int) -> NodeResult:
    """In ComfyUI two of these overlap; here they run one after the other."""
    return _sleep(context, image, steps, dt, seed, "none")


def _raise(context: Context, image: Any, kind: str, message: str) -> NodeResult:
    raise _RAISED[kind](message)


def _block(context: Context, image: Any, block: bool, message: str) -> NodeResult:
    return NodeResult((Blocked(message or None) if block else image,))


def _silent(context: Context, image: Any) -> NodeResult:
    return NodeResult(())


def _ui(context: Context, ui_json: str) -> NodeResult:
    return NodeResult((), json.loads(ui_json))


def _bad_ui(context: Context, image: Any) -> NodeResult:
    return NodeResult((), {"bad": [image]})


def _echo_hidden(context: Context, nonce: int) -> NodeResult:
    extra_data: Mapping[str, Any] = getattr(context, "extra_data", {})
    told = {
        "unique_id": context.node_id,
        "api_key_len": len(extra_data.get("api_key_comfy_org") or ""),
        "tok_len": len(extra_data.get("auth_token_comfy_org") or ""),
        "pnginfo": context.extra_pnginfo,
    }
    return NodeResult((), {"text": [json.dumps(told)]})


def _progress_text(context: TextContext, image: Any, text: str) -> NodeResult:
    context.send_text(text)
    return NodeResult((image,))


def _node(
    name: str,
    run: Callable[..., NodeResult],
    required: dict[str, Any],
    *,
    optional: dict[str, Any] | None = None,
    outputs: tuple[str, ...] = ("IMAGE",),
) -> NodeClass:
    sections = {"required": required} | ({"optional": optional} if optional else {})
    info = {
        "input": {section: {key: list(config) for key, config in names.items()} for section, names in sections.items()},
        "input_order": {section: list(names) for section, names in sections.items()},
        "output": list(outputs),
        "output_is_list": [False] * len(outputs),
        "output_name": list(outputs),
        "name": name,
        "display_name": name,
        "description": "A test node of the stand-in's recordings.",
        "python_module": "custom_nodes.zz_rec_nodes",
        "category": "recorder",
        "output_node": not outputs,
    }
    return NodeClass(name=name, run=run, info=info, fingerprint=None, validate=None)


_STEPS = {
    "image": _IMAGE,
    "steps": ("INT", {"default": 5, "min": 1, "max": 10000}),
    "dt": ("FLOAT", {"default": 0.1, "min": 0.0, "max": 100.0}),
    "seed": ("INT", {"default": 0, "min": 0, "max": 2**64 - 1}),
}
_SLEEP = _STEPS | {"preview": (["none", "JPEG", "PNG"],)}

RECORDER_NODES: dict[str, NodeClass] = {
    node.name: node
    for node in (
        _node("RecSleep", _sleep, _SLEEP, optional={"progress": ("BOOLEAN", {"default": True})}),
        _node("RecAsync", _async, _STEPS),
        _node("RecRaise", _raise, {"image": _IMAGE, "kind": (list(_RAISED),), "message": _STRING}),
        _node("RecBlock", _block, {"image": _IMAGE, "block": ("BOOLEAN", {"default": True}), "message": _STRING}),
        _node("RecProgressText", _progress_text, {"image": _IMAGE, "text": _STRING}),
        _node("RecSilent", _silent, {"image": _IMAGE}, outputs=()),
        _node("RecBadUI", _bad_ui, {"image": _IMAGE}, outputs=()),
        _node("RecUI", _ui, {"ui_json": _STRING}, outputs=()),
        _node("RecEchoHidden", _echo_hidden, {"nonce": ("INT", {"default": 0})}, outputs=()),
    )
}
