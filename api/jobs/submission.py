"""A request for a job as a surface hands it in, and what it has to say about the job's life in the queue."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from ..errors import Detail, InvalidInput, WorkerError
from .job import Job, Priority

_LEAST_TTL_S = 1.0
_MOST_TTL_S = 30 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Submission:
    """`job` is what the JobHandler takes: `{"input": {…}, "policy"?, "s3Config"?}`, without an id.

    `dialect` names the surface whose words describe the job, `caller` whoever holds the key it came with;
    `is_operator`: that key opens everything.
    `waits`: the answer is to be the result, so a known Idempotency-Key has no answer while its job runs.
    `files` are open files by the sources that stand for them in the job's images; they stay the caller's.
    `places` are the caller's words for places of the job that errors may name.
    """

    job: Mapping[str, Any] = field(repr=False)
    dialect: str
    caller: str = "anonymous"
    is_operator: bool = False
    priority: Priority = Priority.NORMAL
    webhook: str | None = field(default=None, repr=False)
    ttl_s: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    workflow_name: str | None = None
    id_prefix: str = ""
    idempotency_key: str | None = field(default=None, repr=False)
    fingerprint: str = ""
    waits: bool = False
    files: Mapping[str, BinaryIO] = field(default_factory=dict, repr=False)
    places: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job that is kept. `replayed`: it is that of an earlier request with the same Idempotency-Key."""

    job: Job
    replayed: bool


def checked_ttl_s(ttl_s: float | None) -> float | None:
    """The time to live in seconds; None or 0 is no limit. Raises InvalidInput."""
    if not ttl_s:
        return None
    if not _LEAST_TTL_S <= ttl_s <= _MOST_TTL_S:
        message = f"policy.ttl must be from {_LEAST_TTL_S * 1000:.0f} to {_MOST_TTL_S * 1000:.0f} ms."
        raise InvalidInput(message, [Detail(field="policy.ttl", code="out_of_range", message=message)])
    return ttl_s


def in_words_of(places: Mapping[str, str], error: WorkerError) -> None:
    """Change the error so that it names the places as the caller does: the keys are ours, the values the caller's."""
    if not places:
        return
    any_of_ours = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
    # Not a part of another place: images.1 is the start of images.10.
    place = re.compile(rf"(?<![\w.])(?:{any_of_ours})(?!\w|\.\w)")

    def renamed(text: str) -> str:
        return place.sub(lambda found: places[found[0]], text)

    error.message = renamed(error.message)
    for detail in error.details:
        if "message" in detail:
            detail["message"] = renamed(detail["message"])
        if "field" in detail:
            detail["field"] = places.get(detail["field"], detail["field"])
    error.args = (error.message, *error.args[1:])
