"""Structured logs: a constant message and fields. Never prompts, pictures, keys or signed URLs."""

import logging
import re
import sys
from typing import Any

import structlog

# Anything signed or carrying credentials, wherever a third-party message may have put it.
_SECRETS = (
    (re.compile(r"(?i)(x-amz-[a-z-]+|signature|sig|token|api[_-]?key|awsaccesskeyid)=[^&\s\"']+"), r"\1=***"),
    (re.compile(r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?)(bearer\s+)?[^\s'\",]+"), r"\1***"),
    (re.compile(r"://[^/\s:@]+:[^/\s@]+@"), "://***@"),
)


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


def get_logger() -> Any:
    """The worker's logger; bind fields with `log.info("Constant message", job_id=…)`."""
    return structlog.get_logger("comfyui-worker")


def mask(text: str) -> str:
    """The text without signed query values, authorisation headers and passwords in URLs."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _mask(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    return {key: mask(value) if isinstance(value, str) else value for key, value in event.items()}
