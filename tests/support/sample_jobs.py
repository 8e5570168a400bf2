"""Jobs for end-to-end tests and benchmarks: small model-free workflows."""

import base64
import io
import random
from collections.abc import Mapping
from typing import Any

from PIL import Image

Workflow = dict[str, dict[str, Any]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def job(workflow: Workflow, *, images: Mapping[str, bytes] | None = None, **options: Any) -> dict[str, Any]:
    """`{"input": {…}}` with the pictures as base64."""
    pictures = [{"name": name, "image": base64.b64encode(data).decode()} for name, data in (images or {}).items()]
    return {"input": {"workflow": workflow, **({"images": pictures} if pictures else {}), **options}}


def flat(color: int = 0xC0FFEE, size: int = 64) -> Workflow:
    """EmptyImage → SaveImage; another color is another picture, which no cache knows."""
    return {
        "1": node("EmptyImage", width=size, height=size, batch_size=1, color=color),
        "2": node("SaveImage", images=["1", 0], filename_prefix="flat"),
    }


def inverted(name: str = "input.png") -> Workflow:
    """LoadImage → ImageInvert → SaveImage."""
    return {
        "1": node("LoadImage", image=name),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix="inverted"),
    }


def enlarged(name: str = "input.png", size: int = 1024) -> Workflow:
    """LoadImage → ImageScale → SaveImage: a small input with a large output."""
    return {
        "1": node("LoadImage", image=name),
        "2": node("ImageScale", image=["1", 0], upscale_method="lanczos", width=size, height=size, crop="disabled"),
        "3": node("SaveImage", images=["2", 0], filename_prefix="enlarged"),
    }


def chain(length: int, color: int = 0x123456) -> Workflow:
    """EmptyImage, `length` inversions, SaveImage: many nodes to be slow in, or to die in."""
    steps = {str(i + 2): node("ImageInvert", image=[str(i + 1), 0]) for i in range(length)}
    return {
        "1": node("EmptyImage", width=32, height=32, batch_size=1, color=color),
        **steps,
        str(length + 2): node("SaveImage", images=[str(length + 1), 0], filename_prefix="chain"),
    }


def slow(seconds: float, color: int = 0x224466, name: str | None = None) -> Workflow:
    """A picture that takes so long to make (stand-in only). With `name`, the picture is an input."""
    source = (
        node("LoadImage", image=name) if name else node("EmptyImage", width=32, height=32, batch_size=1, color=color)
    )
    return {
        "1": source,
        "2": node("StandinSleep", image=["1", 0], seconds=seconds),
        "3": node("SaveImage", images=["2", 0], filename_prefix="slow"),
    }


def png(color: tuple[int, int, int] = (200, 30, 60), size: int = 48) -> bytes:
    """A flat picture, a few hundred bytes."""
    return _encoded(Image.new("RGB", (size, size), color))


def noise_png(size: int, seed: int = 1) -> bytes:
    """A picture that does not compress: about 3 × size² bytes."""
    return _encoded(Image.frombytes("RGB", (size, size), random.Random(seed).randbytes(3 * size * size)))


def pixels(entry: Mapping[str, Any]) -> Image.Image:
    """The picture of a base64 entry of a result."""
    return Image.open(io.BytesIO(base64.b64decode(entry["data"]))).convert("RGB")


def shows(entry: Mapping[str, Any], color: tuple[int, int, int]) -> bool:
    """Whether a base64 entry is a picture of that one color; ComfyUI cuts fractions off, so ±1 is the same."""
    extrema = pixels(entry).getextrema()
    return all(abs(found - wanted) <= 1 for band, wanted in zip(extrema, color, strict=True) for found in band)


def _encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
