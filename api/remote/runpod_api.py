"""RunPod's API for one serverless endpoint: submit, look, cancel, health. Knows no workflow."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from ..errors import ComfyUnreachable, InputTooLarge, PromptLost, TargetRefused, WorkerError
from ..ids import PromptId
from ..jobs.cancel import CancelToken
from .endpoint import Answer, Endpoint, protocol_error
from .failures import details_of, error_of
from .patience import Patience

# What RunPod takes as the body of /run.
BODY_BYTES = 10_000_000
# It is kept in the database and becomes part of a path.
_ID = re.compile(r"[\x21-\x7e]{1,200}")
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_SUBMIT_S = 60.0
_CANCEL_S = 5.0
_HEALTH_S = 5.0
# States of workers from which a job may come to be run.
_USABLE = ("idle", "initializing", "ready", "running", "throttled")


class RunPodApi:
    """Raises TargetRefused, ComfyUnreachable, ComfyBusy, ComfyProtocolError besides what is said below."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def run(self, content: Mapping[str, Any], key: str, patience: Patience) -> PromptId:
        """Submit a job; its id there. `key` lets an endpoint that knows it take a repeated request for the same one.

        Raises the error that a request was refused with.
        """
        headers = {"Idempotency-Key": key}
        answer = self._endpoint.call(
            "POST", "/run", patience, content=content, headers=headers, read_timeout_s=_SUBMIT_S
        )
        if answer.status in _GONE:
            place = self._endpoint.place
            raise TargetRefused(f"There is no endpoint at {place.shown}: check the setting {place.settings[0]}.")
        said = answer.content if isinstance(answer.content, dict) else {}
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise self._refusal(answer, said)
        if not isinstance(said.get("id"), str) or not _ID.fullmatch(said["id"]):
            raise protocol_error(self._endpoint.place, answer)
        return PromptId(said["id"])

    def status(self, remote_id: PromptId, patience: Patience) -> Mapping[str, Any]:
        """The job as it is: `{"status", "output"?, "error"?, …}`. Raises PromptLost."""
        # Large outputs come as addresses from endpoints that know the parameter.
        answer = self._endpoint.call("GET", f"/status/{quote(remote_id, safe='')}?outputs=url", patience)
        if answer.status in _GONE:
            raise PromptLost(f"The target {self._endpoint.place.shown} no longer has the job.")
        is_status = isinstance(answer.content, dict) and isinstance(answer.content.get("status"), str)
        if answer.status != HTTPStatus.OK or not is_status:
            raise protocol_error(self._endpoint.place, answer)
        content: Mapping[str, Any] = answer.content
        return content

    def cancel(self, remote_id: PromptId) -> bool:
        """Stop the job, as far as that can be done soon; whether the endpoint has heard."""
        try:
            self._endpoint.call(
                "POST",
                f"/cancel/{quote(remote_id, safe='')}",
                Patience(CancelToken()),
                read_timeout_s=_CANCEL_S,
                limit_s=_CANCEL_S,
            )
        except WorkerError:
            return False
        return True

    def look(self) -> None:
        """Raises a ComfyError when the endpoint is not to be given jobs."""
        answer = self._endpoint.call("GET", "/health", Patience(CancelToken()), read_timeout_s=_HEALTH_S, limit_s=0.0)
        place = self._endpoint.place
        if answer.status in _GONE:
            raise TargetRefused(f"There is no endpoint at {place.shown}: check the setting {place.settings[0]}.")
        if answer.status != HTTPStatus.OK or not isinstance(answer.content, dict):
            raise protocol_error(place, answer)
        workers = answer.content.get("workers")
        # None at all is an endpoint that has scaled to zero: the first job wakes one.
        if isinstance(workers, dict) and workers.get("unhealthy") and not any(map(workers.get, _USABLE)):
            raise ComfyUnreachable(f"No worker of the target {place.shown} is healthy.")

    def _refusal(self, answer: Answer, said: Mapping[str, Any]) -> WorkerError:
        if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and "code" not in said:
            return InputTooLarge(f"The job is too large for the target {self._endpoint.place.shown}: {answer.text}.")
        return error_of(said.get("error") or answer.text, said, details_of(said.get("details")))
