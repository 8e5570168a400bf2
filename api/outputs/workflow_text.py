"""Reads and writes the prompt and workflow ComfyUI embeds in pictures, in the places ComfyUI itself uses."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .containers import PNG, pieces

# ComfyUI's own WebP savers: `prompt:{json}` in EXIF Model, `workflow:{json}` and others in Make and the tags below.
_PROMPT_TAG = 0x0110
_OTHER_TAGS = range(0x010F, 0x010A, -1)
_ORIENTATION = 0x0112


def read(image: Image.Image, path: Path) -> dict[str, str]:
    """Name → text, of whatever the picture carries. Loads the pixels: PNG may hold text behind them."""
    image.load()
    texts = {str(name): str(text) for name, text in getattr(image, "text", {}).items()}
    return texts or dict(_from_comf(path) if image.format == "PNG" else _from_exif(image.getexif()))


def _from_comf(path: Path) -> Iterator[tuple[str, str]]:
    """ComfyUI's SaveAnimatedPNG: chunks of its own, which Pillow reads only with the last frame."""
    with path.open("rb") as source:
        for piece in pieces(path, PNG):
            if piece.tag == b"comf":
                source.seek(piece.body)
                name, _, text = source.read(piece.end - piece.body - 4).partition(b"\0")
                yield name.decode("latin-1"), text.decode("utf-8", "replace")


def _from_exif(exif: Image.Exif) -> Iterator[tuple[str, str]]:
    for tag in (_PROMPT_TAG, *_OTHER_TAGS):
        value = exif.get(tag)
        name, colon, text = value.partition(":") if isinstance(value, str) else ("", "", "")
        if colon and text.lstrip().startswith(("{", "[")):
            yield name, text


def without_texts(image: Image.Image) -> bytes:
    """The camera's share of EXIF: no embedded workflow, and no orientation, which is to be applied before this."""
    exif = image.getexif()
    texts = {f"{name}:{text}" for name, text in _from_exif(exif)}
    for tag in (_PROMPT_TAG, *_OTHER_TAGS, _ORIENTATION):
        if tag in exif and (tag == _ORIENTATION or exif[tag] in texts):
            del exif[tag]
    return exif.tobytes() if len(exif) else b""


def as_exif(texts: Mapping[str, str], rest: bytes = b"") -> bytes:
    """EXIF as ComfyUI writes it: prompt first, then the others downwards while there are tags."""
    exif = Image.Exif()
    exif.load(rest)
    if "prompt" in texts:
        exif[_PROMPT_TAG] = f"prompt:{_ascii(texts['prompt'])}"
    others = sorted((name for name in texts if name != "prompt"), key=lambda name: name != "workflow")
    for tag, name in zip(_OTHER_TAGS, others, strict=False):
        exif[tag] = f"{name}:{_ascii(texts[name])}"
    return exif.tobytes() if len(exif) else b""


def _ascii(text: str) -> str:
    """EXIF strings are ASCII and Pillow would write `?`; JSON can say everything in ASCII."""
    if text.isascii():
        return text
    try:
        return json.dumps(json.loads(text))
    except ValueError:
        return text.encode("ascii", "backslashreplace").decode("ascii")


def as_png(texts: Mapping[str, str]) -> PngInfo:
    """PNG text chunks as ComfyUI writes them."""
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    return info
