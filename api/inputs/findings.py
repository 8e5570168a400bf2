"""The errors about one input file. Each message begins with the file's place in the job's input."""

from ..errors import Detail, InputTooLarge, InputUnavailable, InputUrlRefused, InvalidInputFile


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


def url_unavailable(field: str, reason: str) -> InputUnavailable:
    """The URL could not be read."""
    detail = _detail(field, reason, "url_unavailable")
    return InputUnavailable(detail["message"], [detail])


def _detail(field: str, reason: str, code: str) -> Detail:
    return Detail(field=field, code=code, message=f"{field}: {reason.rstrip('.')}.")
