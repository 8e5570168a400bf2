"""SaladTechnologies' comfyui-api: one request per job, held open to its end. Facts are those of 1.18.0."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from ..comfyui.rejection import Rejection
from ..errors import (
    ComfyUnreachable,
    Detail,
    ExecutionFailed,
    InputTooLarge,
    PromptRejected,
    TargetRefused,
    WorkerError,
)
from ..ids import PromptId
from ..jobs.cancel import CancelToken
from ..jobs.ports import Workflow
from .endpoint import Answer, Endpoint, protocol_error
from .patience import Passing, Patience

# MAX_BODY_SIZE_MB of the server, unless somebody has changed it.
BODY_BYTES = 100_000_000
# A gateway's, not the server's own: those end the job.
_AWAY = frozenset({408, 429, 502, 503, 504, 520, 521, 522, 523, 524})
_LOOK_S = 5.0
_QUEUEING = "Failed to queue prompt: "
_NODE = re.compile(r"prompt\.(.+)\.inputs(?:\.|$)")


class SaladApi:
    """Raises TargetRefused, ComfyUnreachable, ComfyProtocolError besides what is said below."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def prompt(self, workflow: Workflow, prompt_id: PromptId, patience: Patience, limit_s: float) -> Mapping[str, Any]:
        """Run a prompt; `{"images", "filenames", "prompt", "stats"}`. Never repeated once it may have arrived.

        Raises Passing when nothing is known of its end, else the error it ended with.
        """
        content = {"prompt": workflow, "id": prompt_id}
        answer = self._endpoint.once(
            "POST", "/prompt", patience, content=content, read_timeout_s=limit_s, passing=_AWAY
        )
        if answer.status != HTTPStatus.OK:
            raise self._error(answer, workflow)
        if not isinstance(answer.content, dict):
            raise protocol_error(self._endpoint.place, answer)
        return answer.content

    def interrupt(self, prompt_id: PromptId) -> None:
        """Stop the prompt if it is the one that executes; there is no way to take back one that waits."""
        self._endpoint.call(
            "POST",
            "/interrupt",
            Patience(CancelToken()),
            content={"id": prompt_id},
            read_timeout_s=_LOOK_S,
            limit_s=_LOOK_S,
        )

    def look(self) -> None:
        """Raises a ComfyError when it is not to be given jobs: it warms up, or its queue is full."""
        answer = self._endpoint.call("GET", "/ready", Patience(CancelToken()), read_timeout_s=_LOOK_S, limit_s=0.0)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise self._not_there()
        if answer.status != HTTPStatus.OK or not isinstance(answer.content, dict):
            raise protocol_error(self._endpoint.place, answer)

    def unreachable(self, failure: Passing) -> WorkerError:
        """What a failure that did not pass means to the job."""
        return self._endpoint.given_up(failure)

    def _error(self, answer: Answer, workflow: Workflow) -> WorkerError:
        place = self._endpoint.place
        if answer.status == HTTPStatus.NOT_FOUND:
            return self._not_there()
        if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return InputTooLarge(f"The job is too large for the target {place.shown}: {answer.text}.")
        if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}:
            return _refused(answer)
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            return self._failed(answer, workflow)
        return protocol_error(place, answer)

    def _failed(self, answer: Answer, workflow: Workflow) -> WorkerError:
        said = answer.content.get("message") if isinstance(answer.content, dict) else None
        text = said if isinstance(said, str) else ""
        if text.startswith(_QUEUEING):
            return _rejected(text.removeprefix(_QUEUEING), workflow)
        if text == "fetch failed":
            return ComfyUnreachable(f"ComfyUI is away on the target {self._endpoint.place.shown}.")
        # It says no more of a node that failed.
        return ExecutionFailed(
            f"The workflow failed on the target {self._endpoint.place.shown}, which only says: {answer.text}. "
            "The log of its ComfyUI knows more."
        )

    def _not_there(self) -> TargetRefused:
        place = self._endpoint.place
        return TargetRefused(f"There is no comfyui-api at {place.shown}: check the setting {place.settings[0]}.")


def _refused(answer: Answer) -> PromptRejected:
    said = answer.content if isinstance(answer.content, dict) else {}
    location = str(said.get("location") or "")
    text = f"The Salad target refused the workflow: {answer.text}"
    detail = Detail(field=location.replace("prompt", "workflow", 1), code="refused", message=text)
    if node := _NODE.match(location):
        detail["node_id"] = node[1]
    return PromptRejected(text, [detail])


def _rejected(text: str, workflow: Workflow) -> WorkerError:
    """ComfyUI's own words, which come through as they are."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    rejection = Rejection.read(content, workflow, lambda _name: {}) if isinstance(content, dict) else None
    return rejection.error() if rejection else PromptRejected("ComfyUI rejected the workflow without saying why.")
