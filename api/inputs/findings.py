"""The errors about one input file. Each message begins with the file's place in the job's input."""

from ..errors import Detail, InputNotFound, InputTooLarge, InputUnavailable, InputUrlRefused, InvalidInputFile


def not_usable(field: str, reason: str, code: str) -> InvalidInputFile:
    """The content or the name will not do; the content itself is never quoted."""
    detail = _detail(field, reason, code)
    return InvalidInputFile(detail["message"], [detail])


def too_large(field: str, reason: str, code: str = "too_large") -> InputTooLarge:
    """Over a limit."""
    detail = _detail(field, reason, code)
    return InputTooLarge(detail["message"], [detail])


def url_refused(field: str, reason: str) -> InputUrlRefused:
    """The URL may not be read."""
    detail = _detail(field, reason, "url_refused")
    return InputUrlRefused(detail["message"], [detail])


def url_unavailable(field: str, error: InputUnavailable, reason: str) -> InputUnavailable:
    """The URL could not be read: `error`, told of its field."""
    detail = _detail(field, reason, "url_unavailable")
    kind = InputNotFound if isinstance(error, InputNotFound) else InputUnavailable
    return kind(detail["message"], [detail])


def _detail(field: str, reason: str, code: str) -> Detail:
    return Detail(field=field, code=code, message=f"{field}: {reason.rstrip('.')}.")
