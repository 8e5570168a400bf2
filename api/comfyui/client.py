"""ComfyUI's HTTP endpoints, one method each. Knows no job; what a prompt contains is never logged from here."""

import copy
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

from ..errors import ComfyProtocolError, ComfyUnreachable, InputTooLarge, OutputUnavailable
from ..ids import PromptId
from .cutoff import Cutoff
from .history import HistoryEntry
from .transport import CHUNK_BYTES, Answer, Body, Transport
from .upload import UploadBody

_OBJECT_INFO_KEPT_S = 60.0
# Answered by the event loop alone; longer than any stall of a healthy process.
_CONTROL_TIMEOUT_S = 10.0
_SMALLEST_LIMIT_BYTES = 1_000_000  # --max-upload-size counts in MB
_CONDITIONAL = (
    *(HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT),
    *(HTTPStatus.NOT_MODIFIED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
)
# What reading an answer raises that is JSON but not of the shape any ComfyUI gives it.
_ODD = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class QueuedPrompt:
    """A prompt in the queue. Lower numbers run first."""

    prompt_id: PromptId
    number: float


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """The queue at one moment; `pending` in the order it will run."""

    running: tuple[QueuedPrompt, ...]
    pending: tuple[QueuedPrompt, ...]


@dataclass(frozen=True, slots=True)
class SubmitAnswer:
    """What `POST /prompt` gave. `answer` None: the request went out, nothing came back; it may have been taken."""

    answer: Answer | None


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """Where ComfyUI put an upload. The name may differ from the one sent: `up (1).png`."""

    name: str
    subfolder: str
    kind: str

    @property
    def reference(self) -> str:
        """How a LoadImage input names the file."""
        path = f"{self.subfolder.strip('/')}/{self.name}" if self.subfolder.strip("/") else self.name
        return path if self.kind == "input" else f"{path} [{self.kind}]"


class ViewStream:
    """An output being fetched. Use `chunks` once, within the `with`."""

    def __init__(self, transport: Transport, response: Any) -> None:
        self._transport = transport
        self._response = response
        self.status: int = response.status
        self.content_type: str = response.getheader("Content-Type") or "application/octet-stream"
        self.size_bytes: int | None = response.length

    def header(self, name: str) -> str | None:
        """One of the answer's headers."""
        value: str | None = self._response.getheader(name)
        return value

    def chunks(self, size_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
        """The content in pieces. Raises ComfyUnreachable when it ends short of its Content-Length."""
        with self._transport.translated_read():
            while piece := self._response.read(size_bytes):
                yield piece
        # http.client reports a short body only to read() without a size.
        if self._response.length:
            raise ComfyUnreachable(f"ComfyUI cut an output short: {self._response.length} bytes are missing.")


class ComfyClient:
    """One ComfyUI over HTTP; safe to share between threads.

    Every method raises ComfyUnreachable when no whole answer came, ComfyProtocolError when it makes no sense.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 30.0,
        headers: Mapping[str, str] | None = None,
        pool_size: int = 16,
    ) -> None:
        self.base_url = base_url
        self._control_timeout_s = min(_CONTROL_TIMEOUT_S, read_timeout_s)
        self._http = Transport(
            base_url,
            connect_timeout_s=connect_timeout_s,
            read_timeout_s=read_timeout_s,
            headers=headers or {},
            pool_size=pool_size,
        )
        self._object_info: dict[str | None, tuple[float, Mapping[str, Any]]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def cut_by(self, cutoff: Cutoff) -> Self:
        """This client for the use of one thread: `cutoff` ends a request that hangs, with ComfyUnreachable."""
        bound = copy.copy(self)
        bound._http = self._http.cut_by(cutoff)
        return bound

    def queue_remaining(self) -> int:
        """Prompts pending and running. The cheapest sign of life: 0.3 ms. One look: not repeated when it fails."""
        answer = self._http.exchange("GET", "/prompt")
        try:
            return int(answer.json()["exec_info"]["queue_remaining"])
        except _ODD:
            raise answer.unexpected() from None

    def queue(self, read_timeout_s: float | None = None) -> QueueSnapshot:
        """What runs and what waits. The answer holds whole prompts and API keys: only ids leave this method."""
        answer = self._http.get("/queue", read_timeout_s)
        try:
            queue = answer.json()
            running, pending = _queued(queue["queue_running"]), _queued(queue["queue_pending"])
        except _ODD:
            raise answer.unexpected() from None
        return QueueSnapshot(running, tuple(sorted(pending, key=lambda prompt: prompt.number)))  # comes in heap order

    def submit(self, body: bytes) -> SubmitAnswer:
        """`POST /prompt`, once. Raises ComfyUnreachable only when nothing was sent."""
        with self._http.lease() as connection:
            try:
                return SubmitAnswer(self._http.converse(connection, "POST", "/prompt", body))
            except ComfyUnreachable:
                connection.close()
        self._refuse_oversize(len(body), "The workflow")
        return SubmitAnswer(None)

    def history(self, prompt_id: PromptId, read_timeout_s: float | None = None) -> HistoryEntry | None:
        """The entry of a finished prompt; None while it is queued, running or unknown."""
        answer = self._http.get(f"/history/{quote(prompt_id, safe='')}", read_timeout_s)
        entries = answer.json()
        if not isinstance(entries, dict):
            raise answer.unexpected()
        entry = entries.get(prompt_id)
        try:
            return HistoryEntry.parse(prompt_id, entry) if isinstance(entry, dict) else None
        except _ODD:
            raise answer.unexpected() from None

    def delete_history(self, *prompt_ids: PromptId) -> None:
        """Forget finished prompts. Files stay."""
        self._post("/history", {"delete": list(prompt_ids)})

    def delete_queued(self, *prompt_ids: PromptId) -> None:
        """Take waiting prompts out of the queue. No effect on running or unknown ones, and no sign of which it was."""
        self._post("/queue", {"delete": list(prompt_ids)})

    def interrupt(self, prompt_id: PromptId) -> None:
        """Ask the prompt to stop if it is the running one. May be lost, or ignored by the node: verify, repeat."""
        self._post("/interrupt", {"prompt_id": prompt_id})

    def upload(
        self,
        path: Path,
        name: str,
        *,
        subfolder: str = "",
        content_type: str = "application/octet-stream",
        overwrite: bool = False,
        kind: str = "input",
    ) -> UploadedFile:
        """Stream a file to ComfyUI. Use the returned name. Raises InputTooLarge over the server's limit.

        Repeated once after a lost connection or a 5xx: the same name with the same bytes is stored once.
        """
        fields = {"type": kind, "subfolder": subfolder, **({"overwrite": "true"} if overwrite else {})}
        answer = self._uploaded(path, name, fields, content_type)
        if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise InputTooLarge(f"The file {name!r} is larger than ComfyUI takes (--max-upload-size).")
        stored = answer.json()
        try:
            return UploadedFile(
                str(stored["name"]), str(stored.get("subfolder") or ""), str(stored.get("type") or kind)
            )
        except _ODD:
            raise answer.unexpected() from None

    @contextmanager
    def view(
        self, filename: str, subfolder: str = "", kind: str = "output", conditions: Mapping[str, str] | None = None
    ) -> Iterator[ViewStream]:
        """Fetch an output in pieces. Raises OutputUnavailable when ComfyUI has no such file (any more).

        `conditions` are request headers (Range, If-None-Match …); with them the status may be 206, 304 or 416 as well.
        """
        query = urlencode({"filename": filename, "subfolder": subfolder, "type": kind})
        with self._http.streamed(f"/view?{query}", conditions) as response:
            if response.status in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN}:
                raise OutputUnavailable(f"ComfyUI does not deliver {filename!r} (status {response.status}).")
            if response.status not in (_CONDITIONAL if conditions else (HTTPStatus.OK,)):
                raise ComfyProtocolError(f"ComfyUI answered GET /view with {response.status}.")
            yield ViewStream(self._http, response)

    def object_info(
        self, class_type: str | None = None, *, max_age_s: float = _OBJECT_INFO_KEPT_S
    ) -> Mapping[str, Any]:
        """Node definitions by class, kept for a minute: all (0.5 MB and more), or one; an unknown class gives {}."""
        kept = self._object_info.get(class_type)
        if kept and time.monotonic() - kept[0] < min(max_age_s, _OBJECT_INFO_KEPT_S):
            return kept[1]
        path = "/object_info" if class_type is None else f"/object_info/{quote(class_type, safe='')}"
        info = self._mapping(path)
        self._object_info[class_type] = (time.monotonic(), info)
        return info

    def system_stats(self) -> Mapping[str, Any]:
        """Versions, memory, devices. `argv` in it leaks paths."""
        return self._mapping("/system_stats")

    def features(self) -> Mapping[str, Any]:
        """What the server can do; `max_upload_size` in bytes. Empty for a ComfyUI too old to say."""
        answer = self._http.get("/features")
        content = answer.json() if answer.status == HTTPStatus.OK else {}
        return content if isinstance(content, dict) else {}

    def model_folders(self) -> list[str]:
        """The names of its folders of models; none for a ComfyUI too old to say."""
        return self._names("/models")

    def models_in(self, folder: str) -> list[str]:
        """The names of the files in such a folder, with the folders below it; none for one it does not have."""
        return self._names(f"/models/{quote(folder, safe='')}")

    def logs(self) -> list[str]:
        """The last 300 writes to the log, oldest first, each a line or part of one; empty where none are kept."""
        answer = self._http.get("/internal/logs/raw")
        if answer.status != HTTPStatus.OK:
            return []
        try:
            return [str(entry["m"]) for entry in answer.json()["entries"]]
        except _ODD:
            return []

    def _names(self, path: str) -> list[str]:
        answer = self._http.get(path, self._control_timeout_s)
        content = answer.json() if answer.status == HTTPStatus.OK else []
        return [name for name in content if isinstance(name, str)] if isinstance(content, list) else []

    def _mapping(self, path: str) -> Mapping[str, Any]:
        answer = self._http.get(path)
        content = answer.json()
        if not isinstance(content, dict):
            raise answer.unexpected()
        return content

    def _post(self, path: str, content: Mapping[str, Any]) -> None:
        body = json.dumps(content).encode()
        self._http.exchange("POST", path, body, read_timeout_s=self._control_timeout_s).expect_ok()

    def _upload(self, path: Path, name: str, fields: dict[str, str], content_type: str) -> Answer:
        with UploadBody(path, name, fields, content_type) as body:
            typed: Body = body
            return self._http.exchange("POST", "/upload/image", typed, body.content_type)

    def _uploaded(self, path: Path, name: str, fields: dict[str, str], content_type: str) -> Answer:
        try:
            answer = self._upload(path, name, fields, content_type)
        except ComfyUnreachable as error:
            self._refuse_oversize(path.stat().st_size, f"The file {name!r}")
            if isinstance(error.__cause__, TimeoutError):
                raise  # the wait was long enough once
        else:
            if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                return answer
        return self._upload(path, name, fields, content_type)

    def _refuse_oversize(self, size_bytes: int, what: str) -> None:
        # A body over the limit may end in a reset instead of the 413, when the server closes while it is being sent.
        if size_bytes < _SMALLEST_LIMIT_BYTES:
            return
        try:
            limit = int(self.features().get("max_upload_size") or 0)
        except (ComfyUnreachable, ComfyProtocolError, *_ODD):
            return
        if limit and size_bytes > limit:
            raise InputTooLarge(f"{what} has {size_bytes} bytes; ComfyUI takes {limit} (--max-upload-size).")


def _queued(items: list[Any]) -> tuple[QueuedPrompt, ...]:
    return tuple(QueuedPrompt(PromptId(str(item[1])), float(item[0])) for item in items)
