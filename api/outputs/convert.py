"""Makes an output what its job asked for: another picture format, without metadata. Never touches the original."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from PIL import Image, ImageOps, ImageSequence

from ..errors import Detail
from ..jobs.ports import OutputFile
from ..jobs.request import OutputOptions
from ..pictures import ALL_FORMATS, PILLOW_ERRORS, open_picture
from . import metadata, workflow_text
from .containers import JPEG, PNG, WEBP
from .disk import disk_error
from .facts import Facts, facts

_FORMATS = {"png": (PNG, ".png"), "jpeg": (JPEG, ".jpg"), "webp": (WEBP, ".webp")}
_NO_PIXELS = {"image/svg+xml", "image/x-exr", "image/vnd.radiance"}
_NO_METADATA = ("text/",)
_JPEG_EXIF_BYTES = 65_533
_HASH_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file ready to be delivered, what its header says, and what could not be done as asked."""

    file: OutputFile
    facts: Facts
    warnings: tuple[Detail, ...] = ()


def prepare(
    file: OutputFile, options: OutputOptions, workdir: Path, default_metadata: Literal["keep", "strip"] = "keep"
) -> Prepared:
    """Convert and strip as asked; what cannot be done leaves the file as it is, with a warning. Raises DiskFull."""
    known = facts(file.path, file.filename, file.mime_type)
    file = replace(file, mime_type=known.mime_type)
    keep = (options.metadata or default_metadata) == "keep"
    warnings: list[Detail] = []
    if options.format and _wants(known, options.format):
        try:
            converted, losses = _convert(file, known, options, keep, workdir)
            return Prepared(converted, facts(converted.path, converted.filename), tuple(losses))
        except Unconvertible as error:
            warnings.append(_warning(file, "NOT_CONVERTED", f"{file.filename} was left as it is: {error}."))
    if not keep:
        file, left = _strip(file, workdir)
        warnings += left
    return Prepared(file, known, tuple(warnings))


class Unconvertible(Exception):
    """The picture stays as it is; the text says why."""


def _wants(known: Facts, target: str) -> bool:
    return known.mime_type.startswith("image/") and known.mime_type != _FORMATS[target][0]


def _warning(file: OutputFile, code: str, message: str) -> Detail:
    return Detail(node_id=file.node_id, code=code, message=message)


def _convert(
    file: OutputFile, known: Facts, options: OutputOptions, keep: bool, workdir: Path
) -> tuple[OutputFile, list[Detail]]:
    target, extension = _FORMATS[options.format or "png"]
    if known.mime_type in _NO_PIXELS:
        raise Unconvertible(f"{known.mime_type} cannot be converted")
    if known.frames > 1 and target != WEBP:
        raise Unconvertible(f"an animation cannot become {options.format}, only webp")
    with new_file(workdir, extension) as path:
        try:
            with open_picture(file.path, ALL_FORMATS) as image:
                whole = _save(image, file.path, path, target, options.quality, keep)
        except PILLOW_ERRORS as error:
            # Pillow's own complaints have no errno; those of the operating system are for `new_file`.
            if isinstance(error, OSError) and error.errno:
                raise
            raise Unconvertible(str(error) or type(error).__name__) from error
        converted = described(file, path, renamed(file.filename, extension), target)
    message = f"The workflow of {file.filename} is too long for {options.format} metadata; it was left out."
    return converted, [] if whole else [_warning(file, "METADATA_DROPPED", message)]


@contextmanager
def new_file(workdir: Path, extension: str) -> Iterator[Path]:
    """A file of its own in the job's folder, gone again when the block fails. Raises DiskFull or its parent."""
    path = None
    try:
        handle, name = tempfile.mkstemp(suffix=extension, prefix="out-", dir=workdir)
        os.close(handle)
        path = Path(name)
        yield path
    except BaseException as error:
        if path:
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise disk_error(error, f"write in {workdir}") from error
        raise


def renamed(filename: str, extension: str) -> str:
    """`filename` with another extension."""
    stem, _, old = filename.rpartition(".")
    return f"{stem}{extension}" if stem and "/" not in old else f"{filename}{extension}"


def described(file: OutputFile, path: Path, filename: str, mime_type: str) -> OutputFile:
    """The same output with other content."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(_HASH_BYTES):
            digest.update(chunk)
    return replace(
        file,
        path=path,
        filename=filename,
        mime_type=mime_type,
        size_bytes=path.stat().st_size,
        sha256=digest.hexdigest(),
    )


def _save(image: Image.Image, source: Path, path: Path, target: str, quality: int, keep: bool) -> bool:
    """Write the picture; False when its metadata did not fit into the target."""
    texts = workflow_text.read(image, source) if keep else {}
    if getattr(image, "n_frames", 1) > 1 and target == WEBP:
        _save_animation(image, path, quality, workflow_text.as_exif(texts))
        return True
    shown = displayable(image, flat=target == JPEG)
    rest = workflow_text.without_texts(image) if keep else b""
    how: dict[str, Any] = {"icc_profile": _fitting_profile(image, shown)}
    if target == PNG:
        shown.save(path, "PNG", pnginfo=workflow_text.as_png(texts), exif=rest, compress_level=4, **how)
        return True
    how |= {"quality": quality} | ({"method": 4} if target == WEBP else {"subsampling": 0 if quality >= 90 else 2})
    return _save_with_exif(shown, path, target, texts, rest, how)


def _save_with_exif(
    shown: Image.Image, path: Path, target: str, texts: dict[str, str], rest: bytes, how: dict[str, Any]
) -> bool:
    """JPEG allows EXIF 64 KiB: first everything is tried, then the prompt alone, which is what can be run again."""
    prompt = {name: text for name, text in texts.items() if name == "prompt"}
    tries = [workflow_text.as_exif(some, camera) for some, camera in ((texts, rest), (prompt, rest), (prompt, b""))]
    exif = next((block for block in tries if target != JPEG or len(block) <= _JPEG_EXIF_BYTES), b"")
    shown.save(path, target.removeprefix("image/").upper(), exif=exif, **how)
    return exif == tries[0]


def _save_animation(image: Image.Image, path: Path, quality: int, exif: bytes) -> None:
    durations = [int(frame.info.get("duration", 100)) for frame in ImageSequence.Iterator(image)]
    image.seek(0)
    # A GIF without a loop block plays once; in WebP 0 means for ever.
    loop = int(image.info.get("loop", 1))
    image.save(path, "WEBP", save_all=True, quality=quality, method=4, duration=durations, loop=loop, exif=exif)


def displayable(image: Image.Image, *, flat: bool) -> Image.Image:
    """The picture upright, in 8 bits as L, RGB or RGBA; `flat` puts what is transparent on white."""
    turned = image.getexif().get(0x0112, 1) != 1
    upright = ImageOps.exif_transpose(image) if turned else image
    if upright.mode.startswith("I"):
        # 16-bit grey; Pillow's own way to 8 bits clips instead of scaling.
        upright = upright.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    elif upright.mode == "F":
        raise ValueError("floating point pixels have no fixed range")
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        return _on_white(upright) if flat else upright
    if upright.mode in ("1", "L"):
        return upright.convert("L")
    return upright.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return white.convert("RGB")


def _fitting_profile(image: Image.Image, shown: Image.Image) -> bytes | None:
    """The colour profile, while it speaks of the colours the picture has now."""
    profile = image.info.get("icc_profile")
    space = b"GRAY" if shown.mode == "L" else b"RGB "
    return profile if isinstance(profile, bytes) and profile[16:20] == space else None


def _strip(file: OutputFile, workdir: Path) -> tuple[OutputFile, list[Detail]]:
    if file.mime_type.startswith(_NO_METADATA):
        return file, []
    if not metadata.strippable(file.mime_type):
        return file, [_kept(file, f"metadata cannot be taken out of {file.mime_type}")]
    with new_file(workdir, PurePosixPath(file.filename).suffix) as path:
        try:
            if metadata.strip(file.path, path, file.mime_type):
                return described(file, path, file.filename, file.mime_type), []
        except ValueError as error:
            return file, [_kept(file, str(error))]
    return file, []


def _kept(file: OutputFile, why: str) -> Detail:
    return _warning(file, "METADATA_KEPT", f"{file.filename} still carries its metadata: {why}.")
