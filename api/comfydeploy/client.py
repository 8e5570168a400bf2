"""ComfyUI Deploy's API, call by call: what the account has, runs, uploads. Knows no job and keeps nothing."""

import mimetypes
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from urllib3 import encode_multipart_formdata

from ..deploy_errors import DeployProtocolError
from ..jobs.cancel import CancelToken
from .refusal import template
from .rows import Row, RunState
from .transport import Policy, Transport

_PAGE = 100
_PIECE_BYTES = 64 * 1024
# Far more than anybody has; a server that ignores `offset` must not be asked for ever.
_MOST_PAGES = 100
_QUICK = Policy(attempts=1, timeout_s=5, total_s=5)
_NEVER = CancelToken()


class DeployClient:
    """One account. All calls raise DeployError's children, and the reason of the cancel they were given."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return self._transport.base_url

    def quick(self) -> "DeployClient":
        """The same, giving up at once: for those who have something else to go on with."""
        return DeployClient(self._transport.with_policy(_QUICK))

    def workflows(self) -> list[Row]:
        """All workflows."""
        return _rows(self._transport.get("/workflows/all"), "workflows")

    def workflow(self, workflow_id: str) -> Row:
        """One workflow with its versions."""
        return _row(self._transport.get(f"/workflow/{quote(workflow_id, safe='')}", query={"limit": 1}), "workflow")

    def version(self, version_id: str) -> Row:
        """One version of a workflow."""
        return _row(self._transport.get(f"/workflow-version/{quote(version_id, safe='')}"), "version")

    def deployments(self) -> list[Row]:
        """All deployments; those their list hides unless asked (fluid ones) too."""
        found: dict[str, Row] = {}
        for fluid in ("false", "true"):
            for row in self._pages("/deployments", "page_size", is_fluid=fluid):
                found.setdefault(str(row.get("id")), row)
        return list(found.values())

    def machines(self) -> list[Row]:
        """All machines."""
        return list(self._pages("/machines", "limit"))

    def queue_deployment(
        self,
        deployment_id: str,
        inputs: Mapping[str, Any],
        webhook: str | None = None,
        gpu: str | None = None,
        cancel: CancelToken = _NEVER,
    ) -> str:
        """Queue a run of a deployment on the machine it is bound to; the run's id. Raises DeployRunUnknown too."""
        body = {
            "deployment_id": deployment_id,
            "inputs": dict(inputs),
            **_told(webhook),
            **({"gpu": gpu} if gpu else {}),
        }
        return _run_id(self._transport.post_once("/run/deployment/queue", cancel, json=body))

    def queue_version(
        self,
        version_id: str,
        machine_id: str,
        inputs: Mapping[str, Any],
        webhook: str | None = None,
        cancel: CancelToken = _NEVER,
    ) -> str:
        """Queue a run of a workflow's version on a machine; the run's id."""
        body = {"workflow_version_id": version_id, "machine_id": machine_id, "inputs": dict(inputs), **_told(webhook)}
        return _run_id(self._transport.post_once("/run", cancel, json=body))

    def run(self, run_id: str, cancel: CancelToken = _NEVER) -> RunState:
        """The run as it stands."""
        path = f"/run/{quote(run_id, safe='')}"
        return RunState.of(_row(self._transport.get(path, cancel, query={"queue_position": "true"}), "run"))

    def runs_of(self, workflow_id: str, most: int, cancel: CancelToken = _NEVER) -> Iterator[Row]:
        """The newest runs of a workflow, in short, asked for as far as they are taken."""
        path = f"/v2/workflow/{quote(workflow_id, safe='')}/runs"
        return islice(self._pages(path, "limit", cancel), most)

    def cancel(self, run_id: str) -> None:
        """Stop a run. Raises DeployRefused where that is not possible."""
        self._transport.post(f"/run/{quote(run_id, safe='')}/cancel")

    def upload(self, path: Path, name: str, mime_type: str | None = None, cancel: CancelToken = _NEVER) -> str:
        """Send a file; the URL that runs read it from."""
        kind = mime_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        form, form_kind = encode_multipart_formdata({"file": (name, path.read_bytes(), kind)})
        sent = self._transport.post(
            "/file/upload", cancel, data=_Form(form, cancel), headers={"Content-Type": form_kind}
        )
        url = _row(sent, "upload").get("file_url")
        if not isinstance(url, str):
            raise DeployProtocolError("ComfyUI Deploy took a file and did not say where it is.")
        return url

    def probe(self, path: str) -> Any:
        """Whatever a path of the API answers to a GET."""
        return self._transport.get(path)

    def _pages(self, path: str, size: str, cancel: CancelToken = _NEVER, **query: Any) -> Iterator[Row]:
        seen: set[str] = set()
        offset = 0
        for _ in range(_MOST_PAGES):
            asked = {**query, size: _PAGE, "offset": offset}
            rows = _rows(self._transport.get(path, cancel, query=asked), template(path))
            new = [row for row in rows if str(row.get("id")) not in seen]
            seen |= {str(row.get("id")) for row in new}
            yield from new
            # A short page is not the last one: a server may give fewer at once than it is asked for.
            if not new:
                return
            offset += len(rows)


class _Form:
    """A body that a cancel ends on its way; each try sends all of it."""

    def __init__(self, content: bytes, cancel: CancelToken) -> None:
        self._content = content
        self._cancel = cancel

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[bytes]:
        for at in range(0, len(self._content), _PIECE_BYTES):
            self._cancel.raise_if_set()
            yield self._content[at : at + _PIECE_BYTES]


def _told(webhook: str | None) -> dict[str, Any]:
    return {"webhook": webhook, "webhook_intermediate_status": True} if webhook else {}


def _run_id(answer: Any) -> str:
    found = answer.get("run_id") if isinstance(answer, dict) else None
    if not isinstance(found, str):
        raise DeployProtocolError("ComfyUI Deploy took a run and did not say its id.")
    return found


def _row(answer: Any, what: str) -> Row:
    if not isinstance(answer, dict):
        raise DeployProtocolError(f"ComfyUI Deploy answered with something that is no {what}.")
    return answer


def _rows(answer: Any, what: str) -> list[Row]:
    if not isinstance(answer, list) or not all(isinstance(each, dict) for each in answer):
        raise DeployProtocolError(f"ComfyUI Deploy answered with something that is no list of {what}.")
    return answer
