"""A job's result as its caller prefers it: the file itself, or JSON about it. Reads files, so in a thread."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.responses import RedirectResponse, Response

from ..errors import JobNotFound, JobNotReady
from ..jobs.job import Job, Status
from ..jobs.results import OutputRef
from ..jobs.service import JobService
from .answers import job_answer, marked_result
from .api_job import WORDS, progress_of, result_object
from .errors import weight_of
from .job_failure import error_of
from .links import Link
from .sent_files import Condition, send_output

_LISTS = ("images", "videos", "audio", "files")
_JSON = "application/json"
_MOST_RETRY_S = 60


class _Output(NamedTuple):
    """An output of the result: the file that is kept, or an address elsewhere."""

    mime_type: str
    kept: OutputRef | None
    address: str | None


class _Wish(NamedTuple):
    """How much a kind of answer is wanted; of two as much wanted the one that is named more exactly."""

    weight: float
    exactness: int


def result(
    service: JobService,
    job: Job,
    accept: str,
    *,
    left_s: float | None = None,
    index: int | None = None,
    link: Link | None = None,
    result_node: str | None = None,
    condition: Condition = Condition(),  # noqa: B008 - it is frozen
) -> Response:
    """The file, if it is preferred (or neither is and there is one only), else JSON.

    Of several files the one of `result_node`, or number `index`. Raises JobNotReady while the job has not ended, the
    job's own error when it failed, JobNotFound for a number there is none of, OutputUnavailable.
    """
    if not job.is_terminal:
        raise _not_ready(job, left_s)
    if job.status is not Status.SUCCEEDED:
        raise error_of(job)
    outputs = _outputs(service, job, result_node)
    if index is not None:
        outputs = outputs[index : index + 1]
        if not outputs:
            raise JobNotFound(f"The job {job.id} has no output {index}; GET /api/jobs/{job.id}/info lists them.")
    if link is None and outputs and _wants_file(accept, outputs[0], alone=len(outputs) == 1):
        return _file(outputs[0], condition)
    return job_answer(service, job, result_object, link)


def _outputs(service: JobService, job: Job, node_id: str | None) -> list[_Output]:
    whole, kept = marked_result(service, job)
    entries = [entry for name in _LISTS for entry in whole.get(name) or ()]
    chosen = [entry for entry in entries if entry.get("node_id") == node_id]
    return [_output(entry, kept) for entry in chosen or entries]


def _output(entry: Mapping[str, Any], kept: Mapping[str, OutputRef]) -> _Output:
    mime_type = str(entry.get("mime_type") or "application/octet-stream")
    if entry.get("type") == "url":
        return _Output(mime_type, kept[entry["data"]], None)
    address = str(entry.get("data", ""))
    return _Output(mime_type, None, address if address.startswith("http") else None)


def _wants_file(accept: str, output: _Output, *, alone: bool) -> bool:
    file, other = _wish(accept, output.mime_type), _wish(accept, _JSON)
    if output.kept is None:
        # Somewhere else: who did not ask for it may not follow redirects.
        return output.address is not None and file > other
    return file > other or (file == other and file.weight > 0 and alone)


def _wish(accept: str, mime_type: str) -> _Wish:
    """What an Accept header says about a media type; its most exact part counts."""
    family = mime_type.partition("/")[0]
    exactness = {mime_type.lower(): 2, f"{family}/*": 1, "*/*": 0}
    found = _Wish(0.0, -1)
    for part in (accept or "*/*").lower().split(","):
        kind, _, parameters = part.strip().partition(";")
        exact = exactness.get(kind.strip(), -1)
        if exact > found.exactness:
            found = _Wish(weight_of(parameters), exact)
    return found


def _file(output: _Output, condition: Condition) -> Response:
    if output.kept is None:
        return RedirectResponse(output.address or "", 303)
    answer = send_output(output.kept, condition)
    answer.headers["Vary"] = "Accept"
    return answer


def _not_ready(job: Job, left_s: float | None) -> JobNotReady:
    left = "" if left_s is None else f", about {math.ceil(left_s)} s left"
    return JobNotReady(
        f"The job {job.id} is {WORDS[job.status]} ({progress_of(job)} %{left}); its result is there when "
        f"GET /api/jobs/{job.id}/status says completed.",
        retry_after_s=min(max(math.ceil(left_s or 1.0), 1), _MOST_RETRY_S),
    )
