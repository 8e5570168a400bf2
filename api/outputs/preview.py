"""A small WebP of a picture, for results that have no room for the picture itself."""

from pathlib import Path

from PIL import Image

from ..jobs.ports import OutputFile
from ..pictures import ALL_FORMATS, PILLOW_ERRORS, open_picture
from .convert import described, displayable, new_file, renamed

# Longest side and quality, best first.
_STEPS = ((1024, 80), (1024, 60), (768, 60), (512, 60), (384, 50), (256, 50), (128, 50), (64, 50))
_WEBP = "image/webp"


def smaller(file: OutputFile, limit_bytes: int, workdir: Path) -> OutputFile | None:
    """The best preview of at most `limit_bytes`; None for what is no picture or fits in no size. Raises DiskFull.

    An animation is shown by its first frame.
    """
    if not file.mime_type.startswith("image/"):
        return None
    try:
        with open_picture(file.path, ALL_FORMATS) as image:
            shown = _reduced(image)
            return _fitting(file, shown, limit_bytes, workdir)
    except PILLOW_ERRORS:
        return None


def _reduced(image: Image.Image) -> Image.Image:
    side = _STEPS[0][0]
    # JPEG can be decoded at a fraction of its size.
    image.draft(None, (side, side))
    shown = displayable(image, flat=False)
    shown.thumbnail((side, side))
    return shown


def _fitting(file: OutputFile, shown: Image.Image, limit_bytes: int, workdir: Path) -> OutputFile | None:
    with new_file(workdir, ".webp") as path:
        for side, quality in _STEPS:
            shown.thumbnail((side, side))
            shown.save(path, "WEBP", quality=quality, method=4)
            if path.stat().st_size <= limit_bytes:
                return described(file, path, renamed(file.filename, ".preview.webp"), _WEBP)
    path.unlink()
    return None
