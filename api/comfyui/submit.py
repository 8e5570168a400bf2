"""`POST /prompt`: a body that cannot harm ComfyUI, and what became of it when the answer does not tell."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from ..errors import (
    ComfyProtocolError,
    ComfyUnreachable,
    Detail,
    InputTooLarge,
    InvalidWorkflow,
)
from ..ids import PromptId
from .client import ComfyClient, SubmitAnswer
from .limits import Outage, StopSignal
from .lookup import Place, locate
from .rejection import Rejection
from .transport import Answer

_POSTS = 3
_RETRY_PAUSE_S = 0.5
_SECOND_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class PromptBody:
    """What is to run. `api_key` is for ComfyUI's own API nodes; `extra_pnginfo` is written into PNGs by save nodes."""

    workflow: Mapping[str, Mapping[str, Any]]
    api_key: str | None = None
    extra_pnginfo: Mapping[str, Any] = field(default_factory=dict)

    def encode(self, prompt_id: PromptId, client_id: str) -> bytes:
        """The request body, built from scratch. Raises InvalidWorkflow for what cannot be made harmless.

        A node without `inputs` that no output needs kills ComfyUI's worker thread, `extra_data: null` too, an
        unhashable client_id the process; `number` decides who runs first and equal ones raise.
        """
        extra: dict[str, Any] = {"client_id": client_id}
        if self.extra_pnginfo:
            extra["extra_pnginfo"] = dict(self.extra_pnginfo)
        if self.api_key:
            extra["api_key_comfy_org"] = self.api_key
        prompt = {str(node_id): _node(str(node_id), node) for node_id, node in self.workflow.items()}
        body = {"prompt": prompt, "prompt_id": prompt_id, "client_id": client_id, "extra_data": extra}
        return json.dumps(body).encode()


@dataclass(frozen=True, slots=True)
class Accepted:
    """ComfyUI has the prompt. `dropped` says which nodes it left out; `number` None when the answer was lost."""

    number: float | None
    dropped: Rejection | None = None


class Submitter:
    """Gets one prompt into ComfyUI exactly once, as far as that can be known."""

    def __init__(
        self,
        client: ComfyClient,
        body: PromptBody,
        prompt_id: PromptId,
        client_id: str,
        *,
        stop: StopSignal,
        outage: Outage,
        probe_timeout_s: float,
        patience_s: float,
    ) -> None:
        self._client = client
        self._body = body
        self._encoded = body.encode(prompt_id, client_id)
        self._prompt_id = prompt_id
        self._stop = stop
        self._outage = outage
        self._probe_timeout_s = probe_timeout_s
        self._patience_s = patience_s

    def submit(self) -> Accepted | None:
        """None when cancelled before ComfyUI had it for certain.

        Raises PromptRejected, InputTooLarge, ComfyUnreachable, ComfyProtocolError.
        """
        answer = None
        gives_up_at = time.monotonic() + self._patience_s
        for attempt in range(_POSTS):
            posted = self._post()
            if posted is None:
                return Accepted(number=None) if attempt else None
            answer = posted.answer
            if answer and (accepted := self._judge(answer)):
                return accepted
            # 500, a time-out or a reset: ComfyUI may have queued it (with a 500 too). It does not reject an id it
            # knows already, so a blind second post could run the prompt twice.
            if self._may_be_known():
                return Accepted(number=None)
            if time.monotonic() >= gives_up_at:  # each unanswered post has cost a whole read time-out
                break
        raise answer.unexpected() if answer else ComfyUnreachable("ComfyUI never answered the prompt.")

    def _post(self) -> SubmitAnswer | None:
        """None when asked to stop while nothing could be sent."""
        while True:
            try:
                return self._client.submit(self._encoded)
            except ComfyUnreachable as error:
                self._outage.note(error)
            if self._stop.wait(_RETRY_PAUSE_S):
                return None

    def _judge(self, answer: Answer) -> Accepted | None:
        status = answer.status
        if status == HTTPStatus.OK:
            self._outage.end()
            return self._accepted(answer)
        if status == HTTPStatus.BAD_REQUEST:
            rejection = self._rejection(_object(answer.body))
            raise rejection.error() if rejection else answer.unexpected()
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise InputTooLarge("The workflow is larger than ComfyUI takes (--max-upload-size).")
        if status < 500:
            raise answer.unexpected()
        return None

    def _accepted(self, answer: Answer) -> Accepted:
        content = _object(answer.body)
        if "prompt_id" not in content:
            raise answer.unexpected()
        number = content.get("number")
        # 200 with node_errors: those outputs are left out, and only the others run.
        dropped = self._rejection(content) if content.get("node_errors") else None
        return Accepted(number if isinstance(number, int | float) else None, dropped)

    def _rejection(self, content: Mapping[str, Any]) -> Rejection | None:
        return Rejection.read(content, self._body.workflow, self._client.object_info)

    def _may_be_known(self) -> bool:
        """Whether ComfyUI has the prompt; two looks, since the request may still be on its way in.

        Asked to stop meanwhile it says yes: then the prompt is looked for and stopped, not posted again.
        """
        absent = 0
        while absent < 2:
            try:
                place = locate(self._client, self._prompt_id, self._probe_timeout_s).place
            except (ComfyUnreachable, ComfyProtocolError) as error:
                self._outage.note(error)
            else:
                self._outage.end()
                if place is not Place.ABSENT:
                    return True
                absent += 1
            if self._stop.wait(_SECOND_LOOK_S):
                return True
        return False


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _node(node_id: str, node: Any) -> dict[str, Any]:
    class_type = node.get("class_type") if isinstance(node, Mapping) else None
    if not isinstance(class_type, str):
        raise _invalid(node_id, "class_type", "has no class_type")
    inputs = node.get("inputs")
    if not isinstance(inputs, Mapping | None):
        raise _invalid(node_id, "inputs", "has inputs that are not an object")
    rebuilt = {"class_type": class_type, "inputs": dict(inputs or {})}
    if isinstance(node.get("_meta"), Mapping):
        rebuilt["_meta"] = dict(node["_meta"])
    return rebuilt


def _invalid(node_id: str, field_name: str, problem: str) -> InvalidWorkflow:
    message = f"Node {node_id} {problem}."
    return InvalidWorkflow(
        message, [Detail(node_id=node_id, field=f"workflow.{node_id}.{field_name}", message=message)]
    )
