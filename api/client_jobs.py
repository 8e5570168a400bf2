"""What the client tells of a job, in the same words whichever server it runs on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_WORDS: Mapping[str, str] = {
    "queued": "pending",
    "canceling": "running",
    "processing": "running",
    "succeeded": "completed",
    "canceled": "cancelled",
    "IN_QUEUE": "pending",
    "IN_PROGRESS": "running",
    "RUNNING": "running",
    "COMPLETED": "completed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "TIMED_OUT": "timed_out",
}
# The worker calls whatever ended without a result "failed"; its code tells more.
_BY_CODE: Mapping[str, str] = {"CANCELLED": "cancelled", "TIMED_OUT": "timed_out"}
_ENDED = frozenset({"completed", "failed", "cancelled", "timed_out"})
_LISTS = ("images", "videos", "audio", "files", "text")


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the server last told of it. `status` is pending, running, completed, failed, cancelled or timed_out.

    `raw` is the server's whole answer; `result` is there when it has ended well, `error` when it has not.
    """

    job_id: str
    status: str
    result: Mapping[str, Any] | None = None
    error: str | None = None
    progress: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> "Job":
        """From the answer of /run or /status, ours or RunPod's."""
        word = str(raw.get("status") or "")
        status = _WORDS.get(word, word)
        if status == "failed":
            status = _BY_CODE.get(str(raw.get("code")), status)
        given = raw.get("result", raw.get("output"))
        running = {key: value for key in ("progress", "output") if isinstance(value := raw.get(key), dict)}
        error = raw.get("error")
        return cls(
            str(raw.get("job_id") or raw.get("id") or ""),
            status,
            given if status == "completed" and isinstance(given, dict) else None,
            error if error is None or isinstance(error, str) else str(error),
            next(iter(running.values()), {}) if status == "running" else {},
            raw,
        )

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in _ENDED

    @property
    def succeeded(self) -> bool:
        """Whether it has a result."""
        return self.status == "completed"

    def outputs(self) -> Iterator[Mapping[str, Any]]:
        """The entries of the result: `filename`, `type` and `data` each, and more."""
        for name in _LISTS:
            entries = (self.result or {}).get(name)
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and isinstance(entry.get("data"), str):
                    yield entry


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job: snapshot (how it stood at first), queued, started, progress, preview, output.

    The last one is `finished`, however it ended.
    """

    kind: str
    data: Mapping[str, Any]
    event_id: str | None = None
