"""What ComfyUI Deploy sends to a machine, made into a job of ours."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..jobs.quoting import kind_of
from ..jobs.request import ReportSpec
from ..jobs.request_findings import invalid
from ..jobs.submission import Submission
from .graph import translate

_RAW, _OLD = "workflow_api_raw", "workflow_api"


def is_run(given: object) -> bool:
    """Whether the input of a job is a run of ComfyUI Deploy."""
    return isinstance(given, Mapping) and (_RAW in given or (_OLD in given and "status_endpoint" in given))


def own_input(given: Mapping[str, Any]) -> dict[str, Any]:
    """The job's input for `{"prompt_id", "workflow_api_raw", "inputs", "status_endpoint", …}`. Raises InvalidInput."""
    raw = given.get(_RAW, given.get(_OLD))
    if not isinstance(raw, Mapping):
        raise invalid(_RAW, "wrong_type", f"{_RAW} must be an object, not {kind_of(raw)}.")
    inputs = given.get("inputs") or {}
    if not isinstance(inputs, Mapping):
        raise invalid("inputs", "wrong_type", f"inputs must be an object, not {kind_of(inputs)}.")
    ui = given.get("workflow")
    made = translate(raw, inputs, ui)
    told = _told(given)
    job: dict[str, Any] = {"workflow": made.graph, "images": made.images}
    if isinstance(ui, dict) and ui:
        job["extra_pnginfo"] = {"workflow": ui}
    if "run_id" in told and "status_url" in told:
        job["report"] = told
    return job


def report_of(given: object) -> ReportSpec | None:
    """Where to tell of a run that could not even be read; None for what is no run, or says nothing about it."""
    run = given.get("input") if isinstance(given, dict) else None
    if not isinstance(run, Mapping) or not is_run(run):
        return None
    told = _told(run)
    is_whole = "run_id" in told and "status_url" in told and all(isinstance(value, str) for value in told.values())
    return ReportSpec(**told) if is_whole else None


def _told(given: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "run_id": "prompt_id",
        "status_url": "status_endpoint",
        "upload_url": "file_upload_endpoint",
        "token": "cd_token",
        "gpu_event_id": "gpu_event_id",
    }
    return {ours: given[theirs] for ours, theirs in names.items() if given.get(theirs)}


def job(given: object) -> object:
    """A whole job `{"input": {…}}` with such a run made ours; any other as it is."""
    if not isinstance(given, dict) or not is_run(given.get("input")):
        return given
    return {**given, "input": own_input(given["input"])}


def submission(given: Submission) -> Submission:
    """The same for what a surface hands in. The same run is one job, however often it is sent."""
    run = given.job.get("input")
    if not isinstance(run, Mapping) or not is_run(run):
        return given
    made = {**given.job, "input": own_input(run)}
    run_id = run.get("prompt_id")
    if given.idempotency_key is not None or not isinstance(run_id, str):
        return replace(given, job=made)
    key = f"comfyui-deploy {run_id[:100]}"
    return replace(given, job=made, idempotency_key=key, fingerprint=key)
