"""The border of a thread that others depend on: what one round of it raises is told in the log, and it goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import WorkerError
from ..logs import get_logger

log = get_logger()


@contextmanager
def survived(event: str, **context: Any) -> Iterator[None]:
    """For one round. A WorkerError is told in a line, a defect of the worker with its traceback."""
    try:
        yield
    except WorkerError as error:
        log.error(event, error=error.message, **context)
    except Exception:  # The thread's border: without it nobody would do its work any more.
        log.exception(event, **context)
