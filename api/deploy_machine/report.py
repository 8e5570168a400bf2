"""Tells ComfyUI Deploy of one run on this machine: its states, how far it is, what it made, how it ended."""

import queue
import threading
import time
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlencode

from ..errors import JobCancelled, JobTimedOut, WorkerError, WorkerStopping
from ..jobs.cancel import CancelToken
from ..jobs.events import JobEvent, NodeStarted, ProgressMade, PromptStarted
from ..jobs.ports import OutputFile, RunOutcome
from ..jobs.request import ReportSpec
from ..logs import get_logger
from .door import Door

log = get_logger()

_PROGRESS_EVERY_S = 1.0
_LAST_WORDS_S = 60.0
_SHOWN_CHARS = 1000
# Their words for a node's outputs, by the first part of the media type.
_KEYS = {"image": "images", "video": "video", "audio": "audio"}
_ENDS = {JobCancelled.code: "cancelled", JobTimedOut.code: "timeout"}


class Report:
    """One run. States go out from a thread of its own, in order; files go out when `outputs` is called."""

    def __init__(self, spec: ReportSpec, door: Door) -> None:
        self._spec = spec
        self._door = door
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._send, name=f"report-{spec.run_id[:8]}", daemon=True)
        self._told_at = float("-inf")
        self._live = ""
        self._names: set[str] = set()
        self._tell({"status": "started"})
        self._thread.start()

    def told(self, event: JobEvent) -> None:
        """An event of the job."""
        match event:
            case PromptStarted():
                self._tell({"status": "running"})
            case NodeStarted(class_type=class_type):
                self._live = f"Executing {class_type}"
            case ProgressMade(percent=percent):
                now = time.monotonic()
                # While they do not listen it is not kept: what ends the run shall not have to wait for it.
                if now - self._told_at >= _PROGRESS_EVERY_S and self._queue.empty():
                    self._told_at = now
                    live = self._live or "Executing"
                    self._tell({"live_status": live, "progress": round(min(percent, 99.0) / 100, 4)})
            case _:
                pass

    def outputs(self, outcome: RunOutcome, cancel: CancelToken) -> None:
        """Upload the files and say where they are. Raises DeliveryFailed, the reason of the cancel."""
        by_node: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for file in outcome.files if self._spec.upload_url else ():
            key = _KEYS.get(file.mime_type.partition("/")[0], "files")
            by_node.setdefault((file.node_id, key), []).append(self._uploaded(file, cancel))
        for (node_id, key), entries in by_node.items():
            self._tell({"output_data": {key: entries}, "node_meta": {"node_id": node_id}})
        for text in outcome.texts:
            self._tell({"output_data": {"text": [text.text]}, "node_meta": {"node_id": text.node_id}})

    def ended(self, result: Mapping[str, Any]) -> None:
        """The job's result. Waits until it was told, or a minute."""
        code = result.get("code")
        if "error" not in result:
            self._tell({"status": "success"})
        elif code != WorkerStopping.code:  # that one runs again
            error = {"error_type": str(code), "message": str(result["error"])[:_SHOWN_CHARS]}
            self._tell({"output_data": {"error": error}})
            self._tell({"status": _ENDS.get(str(code), "failed")})
        self._queue.put(None)
        self._thread.join(_LAST_WORDS_S)

    def _uploaded(self, file: OutputFile, cancel: CancelToken) -> dict[str, Any]:
        started = time.monotonic()
        name = file.filename
        if name in self._names:
            # Two nodes may call their files alike.
            path = PurePosixPath(name)
            name = f"{path.stem}_{file.node_id}_{len(self._names)}{path.suffix}"
        self._names.add(name)
        query = {"file_name": name, "run_id": self._spec.run_id, "type": file.mime_type, "version": "v2"}
        place = self._door.get(f"{self._spec.upload_url}?{urlencode(query)}", self._spec.token, cancel)
        headers = {"Content-Type": file.mime_type}
        if place.get("include_acl") is True:
            headers["x-amz-acl"] = "public-read"
        self._door.put(str(place.get("url") or ""), headers, file.path, cancel)
        entry = {"filename": name, "subfolder": file.subfolder, "type": "output", "url": place.get("download_url")}
        entry["upload_duration"] = round(time.monotonic() - started, 3)
        return entry | ({"is_public": place["is_public"]} if "is_public" in place else {})

    def _tell(self, what: Mapping[str, Any]) -> None:
        self._queue.put({"run_id": self._spec.run_id, **what, "gpu_event_id": self._spec.gpu_event_id})

    def _send(self) -> None:
        while (body := self._queue.get()) is not None:
            try:
                self._door.post(self._spec.status_url, self._spec.token, body)
            except WorkerError as error:
                log.warning("ComfyUI Deploy was not told of a run", run_id=self._spec.run_id, error=error.message)
