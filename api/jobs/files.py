"""Writing files of a job: made to last, and with an error of ours for what is said about a full disk."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import DiskFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def disk_full(error: OSError, doing: str) -> DiskFull | None:
    """The error for what ran out of space, quota or file size while `doing`; None when it failed otherwise."""
    if error.errno not in _FULL:
        return None
    return DiskFull(f"No space left to {doing} ({error.strerror}): free some, or use a larger disk.")


@contextmanager
def translated_disk_errors(path: Path) -> Iterator[None]:
    """Raise DiskFull, naming the folder, when the block runs out of space, quota or file size; other errors pass."""
    try:
        yield
    except OSError as error:
        if full := disk_full(error, f"write in {path.parent}"):
            raise full from error
        raise


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for the file where that can be had, else a copy. Raises FileExistsError, OSError."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        shutil.copyfile(source, target)


@contextmanager
def written_whole(target: Path) -> Iterator[IO[bytes]]:
    """A file to write, which gets its name when the block ends well: a reader or a crash never meets half of it.

    Lasts from then on. Only its owner may read it. Raises OSError.
    """
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}-", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    # Network file systems that know no fsync on folders answer EINVAL; the rename is all they offer.
    with contextlib.suppress(OSError):
        sync(target.parent)


def sync(path: Path) -> None:
    """Make a file's content last, or the names in a folder.

    A new file's name lasts with its content on ext4, XFS and Btrfs, whose journals keep their order.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
