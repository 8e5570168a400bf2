"""The receipt of a job: how its outputs were made, and an `input` that makes them again as it stands."""

import base64
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from . import __version__
from .jobs.ports import InputFile, RunOutcome, Workflow
from .jobs.request import JobRequest
from .workflows import graph


def make_receipt(
    request: JobRequest,
    workflow: Workflow,
    files: tuple[InputFile, ...],
    outcome: RunOutcome,
    stages_s: Mapping[str, float],
) -> dict[str, Any]:
    """Hashes, seeds, models, versions and times, and the job's own input with its files inline.

    Files that came by URL are inlined too: a URL may be signed, and may answer something else tomorrow.
    Keys and bucket settings are left out.
    """
    return {
        "job_id": request.job_id,
        "workflow_sha256": graph.digest(workflow),
        "seeds": graph.seeds(workflow),
        "models": graph.models(workflow),
        **outcome.facts,
        "worker_version": __version__,
        "stages_s": dict(stages_s),
        "input": {
            "workflow": workflow,
            "images": [_inlined(file) for file in files],
            "extra_pnginfo": dict(request.extra_pnginfo),
            "force": request.force,
            **({"timeout_s": request.timeout_s} if request.timeout_s else {}),
            **_output_options(request),
        },
    }


def _inlined(file: InputFile) -> dict[str, str]:
    return {"name": file.name, "image": base64.b64encode(file.path.read_bytes()).decode(), "sha256": file.sha256}


def _output_options(request: JobRequest) -> dict[str, Any]:
    options = asdict(request.output) | {"delivery": None}  # where it went is not how it was made
    options["output_format"] = options.pop("format")
    options["output_quality"] = options.pop("quality")
    return {name: value for name, value in options.items() if value is not None}
