"""Structured logs: a constant message and fields. Never prompts, pictures, keys or signed URLs."""

import logging
import sys
from contextlib import AbstractContextManager
from typing import Any

from .masking import masked

# Where rich is installed (the SDK brings it) structlog imports it for its tracebacks: a tenth of a second, and
# tracebacks that tell the values of variables.
_hidden = "rich" not in sys.modules
if _hidden:
    sys.modules["rich"] = None  # type: ignore[assignment]
import structlog  # noqa: E402

if _hidden:
    del sys.modules["rich"]


def configure(level: str, form: str) -> None:
    """Set up logging for the process, third-party loggers included. Call once, before importing the SDK."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _mask,
    ]
    renderer: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
    logging.getLogger("comfyui-worker").setLevel(number)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def bound(**fields: Any) -> AbstractContextManager[None]:
    """Within the block, every line this thread or task logs carries the fields."""
    return structlog.contextvars.bound_contextvars(**fields)


def get_logger() -> Any:
    """The worker's logger; bind fields with `log.info("Constant message", job_id=…)`."""
    return structlog.get_logger("comfyui-worker")


def _mask(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    # Names with a leading underscore are structlog's own (the record behind a foreign message).
    return {key: value if key.startswith("_") else masked(value, key) for key, value in event.items()}
