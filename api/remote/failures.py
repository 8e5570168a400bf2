"""What a remote endpoint says of a failed job, as the error it would have been here. Knows no protocol."""

import json
from collections.abc import Mapping
from typing import Any, cast

from ..errors import Detail, ExecutionFailed, WorkerError
from ..masking import mask, masked

_TEXT_CHARS = 4000
_MOST_DETAILS = 200


def error_of(said: Any, rest: Mapping[str, Any], details: list[Detail]) -> WorkerError:
    """The error: `said` is its text in whatever form, `rest` what stands beside it."""
    kind = _KINDS.get(str(rest.get("code", "")), ExecutionFailed)
    return kind(text_of(said), details)


def text_of(said: Any) -> str:
    """The text of an error; of what RunPod's SDK makes of an exception only its message."""
    if isinstance(said, str) and said.startswith("{"):
        said = _from_json(said)
    if isinstance(said, dict):
        said = said.get("error_message") or said.get("message") or json.dumps(said)
    text = said if isinstance(said, str) and said else "The job failed without saying why."
    return mask(text[:_TEXT_CHARS])


def details_of(given: Any) -> list[Detail]:
    """Findings: objects as this worker gives them, or texts as others do."""
    found = given if isinstance(given, list) else []
    return [detail for item in found[:_MOST_DETAILS] if (detail := _detail(item)) is not None]


def _detail(item: Any) -> Detail | None:
    if isinstance(item, dict):
        return cast("Detail", masked(item))
    return Detail(message=mask(item)) if isinstance(item, str) else None


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _kinds(root: type[WorkerError]) -> dict[str, type[WorkerError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= _kinds(child)
    return found


# Those with arguments of their own belong to requests, not to jobs.
_KINDS = {code: kind for code, kind in _kinds(WorkerError).items() if kind.__init__ is WorkerError.__init__}
