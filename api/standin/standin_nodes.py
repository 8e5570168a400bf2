"""Nodes that only the stand-in has, for tests and benchmarks: one waits, one fails, one tells and writes anything.

No real ComfyUI knows them; workflows for it must not use them.
"""

import builtins
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .declaration import invented
from .node_types import Context, NodeResult

_SLICE_S = 0.01
_TOLD_EVERY_S = 0.1
_CHUNK_BYTES = 1 << 20


def _sleep(context: Context, image: Any, seconds: float, steps: int = 10) -> NodeResult:
    """Progress after each step, and again within long ones, so that an interrupt never waits."""
    for step in range(1, steps + 1):
        for _ in _slices(seconds / steps):
            context.progress(step - 1, steps)
        context.progress(step, steps)
    return NodeResult((image,))


def _slices(seconds: float) -> Iterator[None]:
    """Waits so long, coming up at times for the caller to look around."""
    end = time.monotonic() + seconds
    told = time.monotonic()
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(_SLICE_S, left))
        if time.monotonic() - told >= _TOLD_EVERY_S:
            told = time.monotonic()
            yield


def _fail(context: Context, image: Any, message: str, kind: str = "RuntimeError") -> NodeResult:
    raise _failure(kind)(message)


def _failure(kind: str) -> type[BaseException]:
    """A built-in exception by its name, or a new one that tells itself as the dotted name."""
    known = getattr(builtins, kind, None)
    if isinstance(known, type) and issubclass(known, BaseException):
        return known
    module, _, name = kind.rpartition(".")
    return type(name, (RuntimeError,), {"__module__": module or "builtins"})


def _tell(context: Context, ui: str, files: str = "{}", seed: int = 0) -> NodeResult:
    """`ui` as it is, after writing `files`: an object of names below output and their sizes in bytes."""
    for index, (name, size) in enumerate(json.loads(files).items()):
        _write_noise(_inside(context.output_dir, name), size, seed + index)
    return NodeResult((), json.loads(ui))


def _inside(directory: Path, name: str) -> Path:
    path = (directory / name).resolve()
    if not path.is_relative_to(directory.resolve()):
        raise ValueError(f"{name!r} is not below the output directory")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write_noise(path: Path, size: int, seed: int) -> None:
    """The same seed writes the same bytes; they do not compress."""
    source = np.random.default_rng(seed)
    with path.open("wb") as file:
        for start in range(0, size, _CHUNK_BYTES):
            file.write(source.bytes(min(_CHUNK_BYTES, size - start)))


_ANY = ["*", {}]
_MULTILINE = {"default": "{}", "multiline": True}

NODES = (
    invented(
        "StandinSleep",
        _sleep,
        description="Stand-in only. Passes its input on after so many seconds, telling progress; can be interrupted.",
        required={"image": _ANY, "seconds": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 3600.0}]},
        optional={"steps": ["INT", {"default": 10, "min": 1, "max": 10000}]},
        outputs=("*",),
    ),
    invented(
        "StandinFail",
        _fail,
        description="Stand-in only. Raises: a built-in exception by name, else one that calls itself so "
        "(torch.OutOfMemoryError). SystemExit kills the worker thread.",
        required={"image": _ANY, "message": ["STRING", {"default": "failed on request"}]},
        optional={"kind": ["STRING", {"default": "RuntimeError"}]},
        outputs=("*",),
    ),
    invented(
        "StandinUI",
        _tell,
        description="Stand-in only. Tells any ui JSON, e.g. "
        '{"gifs": [{"filename": "a.mp4", "subfolder": "", "type": "output"}]}, and writes files of seeded noise '
        'into output, e.g. {"a.mp4": 1000}.',
        required={"ui": ["STRING", _MULTILINE]},
        optional={
            "files": ["STRING", _MULTILINE],
            "seed": ["INT", {"default": 0, "min": 0, "max": 2**64 - 1}],
        },
    ),
)
