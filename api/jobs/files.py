"""Writing files of a job: what the operating system says about a full disk becomes an error of ours."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DiskFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def translated_disk_errors(path: Path) -> Iterator[None]:
    """Raise DiskFull, naming the folder, when the block runs out of space, quota or file size; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFull(
            f"No space left in {path.parent} ({error.strerror}). Free some, or point WORK_DIR at a larger disk."
        ) from error
