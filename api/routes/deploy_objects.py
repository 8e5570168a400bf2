"""What /api/deploy tells of, as JSON: deployments, machines and runs in the words of its schemas."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..comfydeploy.news import is_marker
from ..comfydeploy.rows import Deployment, InputType, Machine, Workflow
from ..jobs.job import Job
from .native_job import entry_object


def input_object(each: InputType) -> dict[str, Any]:
    """One input."""
    return {
        "name": each.name,
        "type": each.kind,
        "required": each.is_required,
        "default": each.default,
        "minimum": each.minimum,
        "maximum": each.maximum,
        "options": list(each.options),
        "is_file": each.is_file,
        "display_name": each.display_name,
        "description": each.description,
    }


def deployment_object(each: Deployment) -> dict[str, Any]:
    """One deployment."""
    return {
        "id": each.id,
        "workflow_id": each.workflow_id,
        "workflow_version_id": each.version_id,
        "workflow": each.workflow_name,
        "machine_id": each.machine_id,
        "environment": each.environment,
        "gpu": each.gpu,
        "inputs": [input_object(one) for one in each.inputs],
    }


def workflow_object(each: Workflow, standard: str, deployments: Sequence[Deployment]) -> dict[str, Any]:
    """One workflow with its deployments."""
    return {
        "id": each.id,
        "name": each.name,
        "standard_name": standard,
        "description": each.description,
        "machine_id": each.machine_id,
        "deployments": [deployment_object(one) for one in deployments if one.workflow_id == each.id],
    }


def machine_object(each: Machine) -> dict[str, Any]:
    """One machine with its health."""
    return {
        "id": each.id,
        "name": each.name,
        "type": each.kind,
        "status": each.status,
        "gpu": each.gpu,
        "healthy": each.trouble is None,
        "reason": each.trouble,
    }


def run_object(job: Job) -> dict[str, Any]:
    """One run."""
    run_id = job.prompt_id if job.prompt_id and not is_marker(job.prompt_id) else None
    return {**entry_object(job), "run_id": run_id, "machine": job.label}


def outputs_object(job: Job, result: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the run has made; `data` of its result's entries are links."""
    lists = [(result or {}).get(name) or [] for name in ("images", "videos", "audio", "files")]
    names = ("filename", "mime_type", "size_bytes", "node_id")
    files = [{**{name: each[name] for name in names}, "url": each["data"]} for entries in lists for each in entries]
    return {"job_id": job.id, "outputs": files, "texts": [str(each["data"]) for each in (result or {}).get("text", [])]}
