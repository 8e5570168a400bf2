"""The receipt of a job: how its outputs were made, and an `input` that makes them again as it stands."""

import base64
import json
from dataclasses import asdict
from typing import Any

from . import __version__
from .jobs.ports import InputFile, RunOutcome, Workflow
from .jobs.request import JobRequest
from .workflows import graph

# Key and punctuation around the content of a file.
_AROUND_BYTES = 16


def make_receipt(
    request: JobRequest,
    workflow: Workflow,
    files: tuple[InputFile, ...],
    outcome: RunOutcome,
    max_bytes: int,
) -> dict[str, Any]:
    """Hashes, seeds, models and versions, and the job's own input with its files inline.

    Files that came by URL are inlined too: a URL may be signed, and may answer something else tomorrow.
    Keys and bucket settings are left out. So is, named in `left_out`, what `max_bytes` of JSON have no room for: the
    largest files first, then the workflow.
    """
    bare = _receipt(request, workflow, outcome)
    room_bytes = max_bytes - len(json.dumps(bare))
    if room_bytes < 0:
        kept = {key: bare[key] for key in ("job_id", "workflow_sha256", *outcome.facts, "worker_version")}
        return {**kept, "left_out": ["input"]}
    inlined = _fitting(files, room_bytes)
    bare["input"]["images"] = [_entry(file, inlined=file.name in inlined) for file in files]
    left_out = [file.name for file in files if file.name not in inlined]
    return {**bare, **({"left_out": left_out} if left_out else {})}


def _receipt(request: JobRequest, workflow: Workflow, outcome: RunOutcome) -> dict[str, Any]:
    return {
        "job_id": request.job_id,
        "workflow_sha256": graph.digest(workflow),
        "seeds": graph.seeds(workflow),
        "models": graph.models(workflow),
        **outcome.facts,
        "worker_version": __version__,
        "input": {
            "workflow": workflow,
            "images": [],
            "extra_pnginfo": dict(request.extra_pnginfo),
            "force": request.force,
            **({"timeout_s": request.timeout_s} if request.timeout_s else {}),
            **_output_options(request),
        },
    }


def _fitting(files: tuple[InputFile, ...], room_bytes: int) -> set[str]:
    """The names of the files that are inlined, smallest first."""
    fitting: set[str] = set()
    for file in sorted(files, key=lambda file: file.size_bytes):
        room_bytes -= len(json.dumps(_entry(file, inlined=False))) + _AROUND_BYTES + (file.size_bytes + 2) // 3 * 4
        if room_bytes < 0:
            break
        fitting.add(file.name)
    return fitting


def _entry(file: InputFile, *, inlined: bool) -> dict[str, Any]:
    known = {"name": file.name, "sha256": file.sha256, "size_bytes": file.size_bytes}
    return known | ({"image": base64.b64encode(file.path.read_bytes()).decode()} if inlined else {})


def _output_options(request: JobRequest) -> dict[str, Any]:
    options = asdict(request.output) | {"delivery": None}  # where it went is not how it was made
    options["output_format"] = options.pop("format")
    options["output_quality"] = options.pop("quality")
    return {name: value for name, value in options.items() if value is not None}
