"""A small picture of a picture, for lists of many."""

import io
from pathlib import Path

from ..pictures import ALL_FORMATS, PILLOW_ERRORS, open_picture
from .convert import displayable

_QUALITY = 75
MIME_TYPE = "image/webp"


def thumbnail(path: Path, side: int) -> bytes | None:
    """The picture as WebP, its longest side `side` pixels at most; None for what is no picture.

    An animation is shown by its first frame.
    """
    try:
        with open_picture(path, ALL_FORMATS) as image:
            # JPEG can be decoded at a fraction of its size.
            image.draft(None, (side, side))
            shown = displayable(image, flat=False)
            shown.thumbnail((side, side))
            made = io.BytesIO()
            shown.save(made, "WEBP", quality=_QUALITY, method=4)
            return made.getvalue()
    except PILLOW_ERRORS:
        return None
