"""Outputs for tests: pictures with and without ComfyUI's metadata, seeded noise, and OutputFile values for them."""

import hashlib
import json
import random
import struct
import zlib
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from api.jobs.ports import OutputFile

PROMPT = json.dumps({"1": {"class_type": "EmptyImage", "inputs": {"text": "a secret prompt"}}})
WORKFLOW = json.dumps({"nodes": [], "links": [], "note": "a secret workflow"})


def output_file(path: Path, filename: str | None = None, **fields: Any) -> OutputFile:
    """An OutputFile for what lies at `path`."""
    values: dict[str, Any] = {
        "node_id": "9",
        "key": "images",
        "index": 0,
        "filename": filename or path.name,
        "subfolder": "",
        "kind": "output",
        "reused": False,
        "path": path,
        "mime_type": "application/octet-stream",
        "size_bytes": path.stat().st_size if path.exists() else 0,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "",
    }
    return OutputFile(**{**values, **fields})


def noise(path: Path, size_bytes: int, seed: int = 1) -> Path:
    """A file of seeded noise, written in pieces."""
    generator = random.Random(seed)
    with path.open("wb") as target:
        for start in range(0, size_bytes, 1 << 20):
            target.write(generator.randbytes(min(1 << 20, size_bytes - start)))
    return path


def picture(width: int = 32, height: int = 24, mode: str = "RGB", seed: int = 1) -> Image.Image:
    """Seeded noise as pixels."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, (width, height), random.Random(seed).randbytes(width * height * bands))


def comfy_info(**more: str) -> PngInfo:
    """The text chunks ComfyUI's SaveImage writes."""
    info = PngInfo()
    for name, text in {"prompt": PROMPT, "workflow": WORKFLOW, **more}.items():
        info.add_text(name, text)
    return info


def comfy_exif(orientation: int | None = None) -> Image.Exif:
    """The EXIF ComfyUI's SaveAnimatedWEBP writes."""
    exif = Image.Exif()
    exif[0x0110] = f"prompt:{PROMPT}"
    exif[0x010F] = f"workflow:{WORKFLOW}"
    if orientation:
        exif[0x0112] = orientation
    return exif


def comfy_png(path: Path, width: int = 32, height: int = 24, mode: str = "RGB", **more: str) -> Path:
    """A PNG as SaveImage writes it."""
    picture(width, height, mode).save(path, pnginfo=comfy_info(**more), compress_level=4)
    return path


def comfy_apng(path: Path, frames: int = 3) -> Path:
    """An animated PNG as SaveAnimatedPNG writes it: metadata in `comf` chunks behind the pixels."""
    info = PngInfo()
    info.add(b"comf", b"prompt\0" + PROMPT.encode(), after_idat=True)
    info.add(b"comf", b"workflow\0" + WORKFLOW.encode(), after_idat=True)
    first, *others = [picture(seed=seed) for seed in range(frames)]
    first.save(path, pnginfo=info, save_all=True, append_images=others, duration=100)
    return path


def png_chunk(tag: bytes, body: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))


def huge_png(path: Path, side: int = 20_000) -> Path:
    """A PNG of more pixels than Pillow dares to decode; the pixels themselves are left out."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path
