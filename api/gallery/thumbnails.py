"""Small pictures of the gallery's pictures, made when first asked for and kept."""

import contextlib
from pathlib import Path

from ..outputs.thumbnail import thumbnail
from .files import GalleryFolder

# Few sizes, so that nobody can fill the disk with all of them.
SIDES = (128, 256, 512, 1024)


class Thumbnails:
    """WebP files below the gallery's own folder."""

    def __init__(self, folder: GalleryFolder) -> None:
        self._folder = folder
        self._root = folder.own / "thumbnails"

    def get(self, sha256: str, picture: Path, side: int) -> Path | None:
        """One whose longest side is `side` or the next size there is; None for what is no picture. Raises DiskFull."""
        path = self._path(sha256, next((each for each in SIDES if each >= side), SIDES[-1]))
        if path.exists():
            return path
        made = thumbnail(picture, int(path.stem.rpartition("-")[2]))
        if made is None:
            return None
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._folder.incoming(len(made), lambda _bytes: None) as draft:
            draft.write(made)
            draft.path.replace(path)
        return path

    def forget(self, sha256: str) -> None:
        """Remove all of a picture."""
        for side in SIDES:
            with contextlib.suppress(OSError):
                self._path(sha256, side).unlink(missing_ok=True)

    def _path(self, sha256: str, side: int) -> Path:
        return self._root / sha256[:2] / f"{sha256}-{side}.webp"
