"""What a file is: media type, and for pictures width, height and frames, from headers alone."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..pictures import PILLOW_ERRORS, open_picture
from .containers import GIF, JPEG, PNG, WEBP, MalformedImage, Piece, pieces, walkable

OCTETS = "application/octet-stream"
HEAD_BYTES = 16
_BY_EXTENSION = {
    "png apng": PNG,
    "jpg jpeg jfif": JPEG,
    "webp": WEBP,
    "gif": GIF,
    "avif": "image/avif",
    "bmp": "image/bmp",
    "exr": "image/x-exr",
    "hdr": "image/vnd.radiance",
    "ico": "image/vnd.microsoft.icon",
    "jxl": "image/jxl",
    "psd": "image/vnd.adobe.photoshop",
    "svg": "image/svg+xml",
    "tif tiff": "image/tiff",
    "mp4 m4v": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "avi": "video/x-msvideo",
    "mpg mpeg": "video/mpeg",
    "ogv": "video/ogg",
    "flac": "audio/flac",
    "opus": "audio/opus",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "ogg oga": "audio/ogg",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "aif aiff": "audio/aiff",
    "mid midi": "audio/midi",
    "glb": "model/gltf-binary",
    "gltf": "model/gltf+json",
    "obj": "model/obj",
    "mtl": "model/mtl",
    "stl": "model/stl",
    "ply": "model/ply",
    "usdz": "model/vnd.usdz+zip",
    "txt log": "text/plain",
    "csv": "text/csv",
    "md": "text/markdown",
    "vtt": "text/vtt",
    "srt": "application/x-subrip",
    "html htm": "text/html",
    "xml": "application/xml",
    "json": "application/json",
    "yaml yml": "application/yaml",
    "pdf": "application/pdf",
    "zip": "application/zip",
    "fbx latent safetensors sft ckpt pt pth bin npy npz splat ksplat spz": OCTETS,
}
_MIME_TYPES = {f".{extension}": mime for extensions, mime in _BY_EXTENSION.items() for extension in extensions.split()}
_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", PNG),
    (0, b"\xff\xd8\xff", JPEG),
    (0, b"GIF87a", GIF),
    (0, b"GIF89a", GIF),
    (8, b"WEBP", WEBP),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypavis", "image/avif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"\x76\x2f\x31\x01", "image/x-exr"),
)
# Kinds Pillow reads the header of without loading the file, for which there is no walk of our own.
_BY_PILLOW = {"image/bmp": "BMP", "image/tiff": "TIFF", "image/avif": "AVIF", "image/vnd.microsoft.icon": "ICO"}
# SOF0 to SOF15 hold the size; DHT, JPG and DAC share the range but are none.
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the header tells. Width and height are None for what is no picture or cannot be read."""

    mime_type: str
    width: int | None = None
    height: int | None = None
    frames: int = 1


def facts(path: Path, filename: str, claimed: str = OCTETS) -> Facts:
    """Look at the file. Never raises: an unreadable header leaves the facts empty."""
    mime_type = claimed or OCTETS
    try:
        mime_type = media_type(path, filename, mime_type)
        width, height, frames = _picture(path, mime_type)
    except PILLOW_ERRORS:
        return Facts(mime_type)
    return Facts(mime_type, width, height, frames)


def media_type(path: Path, filename: str, claimed: str = OCTETS) -> str:
    """By content for pictures, else by extension, else as claimed."""
    with path.open("rb") as source:
        return media_type_of(source.read(HEAD_BYTES), filename, claimed)


def media_type_of(head: bytes, filename: str, claimed: str = OCTETS) -> str:
    """The same of a file that begins so; its first HEAD_BYTES are enough."""
    for offset, magic, mime_type in _MAGIC:
        # RIFF is the frame of WAV and AVI too, so WebP shows at byte 8.
        if head.startswith(magic, offset):
            return mime_type
    return _MIME_TYPES.get(PurePosixPath(filename).suffix.lower(), claimed)


def _picture(path: Path, mime_type: str) -> tuple[int | None, int | None, int]:
    if walkable(mime_type):
        found = pieces(path, mime_type)
        with path.open("rb") as source:
            heads = []
            for piece in found:
                source.seek(piece.body)
                heads.append((piece, source.read(10) if _telling(piece.tag, mime_type) else b""))
        return _READERS[mime_type](heads)
    if mime_type in _BY_PILLOW:
        with open_picture(path, [_BY_PILLOW[mime_type]]) as image:
            return image.width, image.height, getattr(image, "n_frames", 1)
    return None, None, 1


_Heads = Sequence[tuple[Piece, bytes]]


def _telling(tag: bytes, mime_type: str) -> bool:
    if mime_type == JPEG:
        return tag[0] in _JPEG_FRAMES
    return tag in (b"IHDR", b"acTL", b"VP8X", b"VP8 ", b"VP8L", b"GIF8")


def _png(heads: _Heads) -> tuple[int, int, int]:
    known = {piece.tag: head for piece, head in heads}
    width, height = struct.unpack(">II", known[b"IHDR"][:8])
    frames = struct.unpack(">I", known[b"acTL"][:4])[0] if b"acTL" in known else 1
    return width, height, max(frames, 1)


def _jpeg(heads: _Heads) -> tuple[int, int, int]:
    frame = next((head for _, head in heads if head), None)
    if frame is None:
        raise MalformedImage("a JPEG without a frame")
    height, width = struct.unpack(">HH", frame[1:5])
    return width, height, 1


def _webp(heads: _Heads) -> tuple[int, int, int]:
    known = {piece.tag: head for piece, head in heads}
    frames = max(sum(piece.tag == b"ANMF" for piece, _ in heads), 1)
    if b"VP8X" in known:
        flags_and_size = known[b"VP8X"]
        width, height = (int.from_bytes(flags_and_size[at : at + 3], "little") + 1 for at in (4, 7))
    elif b"VP8L" in known:
        bits = int.from_bytes(known[b"VP8L"][1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (size & 0x3FFF for size in struct.unpack("<HH", known[b"VP8 "][6:10]))
    return width, height, frames


def _gif(heads: _Heads) -> tuple[int, int, int]:
    width, height = struct.unpack("<HH", heads[0][1][:4])
    return width, height, max(sum(piece.tag == b"," for piece, _ in heads), 1)


_READERS = {PNG: _png, JPEG: _jpeg, WEBP: _webp, GIF: _gif}
