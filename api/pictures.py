"""Opens pictures with Pillow: only formats that hold pixels, and without its limit for the whole process."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageFile, UnidentifiedImageError

# What Pillow raises at files made to break it, over all its formats; `Warning` where the process makes errors of them.
PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Warning,
)
# Not EPS, for one: Pillow hands it to an interpreter.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
# With those that only nodes make.
ALL_FORMATS = (*FORMATS, "ICO", "PSD")
_HEAD_BYTES = 16
# What plugins raise at a file that is of another format than its head says, as in Image.open.
_OTHER_FORMAT = (SyntaxError, IndexError, TypeError, struct.error)


@contextmanager
def open_picture(path: Path, formats: Sequence[str] = FORMATS) -> Iterator[ImageFile.ImageFile]:
    """The picture, its pixels not yet read. Raises PILLOW_ERRORS.

    Image.open would hold the size against Image.MAX_IMAGE_PIXELS, which is one for the whole process. Three formats do
    so themselves (GIF, TIFF, WebP): over 179 million pixels they raise DecompressionBombError, as in ComfyUI.
    """
    with _opened(path, formats) as image:
        yield image


def _opened(path: Path, formats: Sequence[str]) -> ImageFile.ImageFile:
    Image.init()
    with path.open("rb") as source:
        head = source.read(_HEAD_BYTES)
    for name in formats:
        factory, accept = Image.OPEN.get(name, (None, None))
        # A text is Pillow's excuse for not opening it.
        if factory is None or (accept and (isinstance(said := accept(head), str) or not said)):
            continue
        try:
            # A path as in ImageFile itself, so that the picture owns and closes the file.
            return factory(str(path), str(path))  # type: ignore[arg-type]
        except _OTHER_FORMAT:
            continue
    raise UnidentifiedImageError("it is a picture of no known format")
