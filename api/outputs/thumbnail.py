"""A small picture of a picture, for lists of many."""

import io
import threading
from pathlib import Path

from ..pictures import ALL_FORMATS, PILLOW_ERRORS, open_picture
from .convert import displayable

_QUALITY = 75
MIME_TYPE = "image/webp"
# A few kB of PNG can unfold to gigabytes; as many pixels as inputs may have by default.
_MOST_PIXELS = 200_000_000
# Each holds a whole picture in memory.
_TURNS = threading.Semaphore(2)


def thumbnail(path: Path, side: int) -> bytes | None:
    """The picture as WebP, its longest side `side` pixels at most; None for what is no picture, or too large a one.

    An animation is shown by its first frame.
    """
    try:
        with _TURNS, open_picture(path, ALL_FORMATS) as image:
            # JPEG can be decoded at a fraction of its size.
            image.draft(None, (side, side))
            if image.width * image.height > _MOST_PIXELS:
                return None
            shown = displayable(image, flat=False)
            shown.thumbnail((side, side))
            made = io.BytesIO()
            shown.save(made, "WEBP", quality=_QUALITY, method=4)
            return made.getvalue()
    except PILLOW_ERRORS:
        return None
