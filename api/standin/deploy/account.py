"""What the account has: machines, workflows with versions, deployments. Rows have the columns the API sends."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

USER = "user_standin"
_NAMESPACE = uuid.UUID("8c1f5a0e-5d5b-4a55-9d0c-0a1d9a2b7c11")
_CREATED = "2026-01-05T09:00:00.000000Z"

Row = dict[str, Any]


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def known_id(name: str) -> str:
    """The same id for the same name in every start, so that what names it can be written down."""
    return str(uuid.uuid5(_NAMESPACE, name))


def machine(name: str, kind: str = "comfy-deploy-serverless", status: str = "ready", **more: Any) -> Row:
    return {
        "id": known_id(f"machine {name}"),
        "user_id": USER,
        "name": name,
        "org_id": None,
        "created_at": _CREATED,
        "updated_at": _CREATED,
        "type": kind,
        "status": status,
        "gpu": "T4",
        "machine_version": None,
        "machine_builder_version": "4",
        "comfyui_version": "0.3.64",
        "import_failed_logs": None,
        "machine_version_id": None,
        "is_workspace": False,
        "endpoint": "",
        "disabled": False,
        "auth_token": None,
        **more,
    }


def input_type(kind: str, class_type: str, name: str, default: Any = None, **more: Any) -> Row:
    return {
        "type": kind,
        "class_type": f"ComfyUIDeployExternal{class_type}",
        "input_id": name,
        "default_value": default,
        "min_value": None,
        "max_value": None,
        "display_name": name.replace("_", " ").capitalize(),
        "description": "",
        "enum_options": None,
        "step": None,
        **more,
    }


@dataclass(frozen=True)
class Workflow:
    """`graph` is the one of its only version."""

    name: str
    description: str | None
    machine: str
    inputs: tuple[Row, ...]
    graph: Mapping[str, Any]
    outputs: tuple[Row, ...] = ({"class_type": "ComfyDeployOutputImage", "output_id": "out"},)

    @property
    def id(self) -> str:
        return known_id(f"workflow {self.name}")

    @property
    def version_id(self) -> str:
        return known_id(f"version 1 of {self.name}")

    def row(self) -> Row:
        return {
            "id": self.id,
            "user_id": USER,
            "org_id": None,
            "name": self.name,
            "selected_machine_id": known_id(f"machine {self.machine}"),
            "created_at": _CREATED,
            "updated_at": _CREATED,
            "pinned": False,
            "deleted": False,
            "description": self.description,
            "cover_image": None,
        }

    def listed(self) -> Row:
        row = {key: value for key, value in self.row().items() if key not in {"org_id", "deleted", "description"}}
        return {**row, "user_name": "standin", "user_icon": None}

    def version(self) -> Row:
        return {
            "id": self.version_id,
            "workflow_id": self.id,
            "version": 1,
            "comment": "",
            "created_at": _CREATED,
            "updated_at": _CREATED,
            "user_id": USER,
            "workflow": {"nodes": [], "links": []},
            "workflow_api": self.graph,
        }


@dataclass
class Account:
    machines: list[Row] = field(default_factory=list)
    workflows: list[Workflow] = field(default_factory=list)
    deployments: list[Row] = field(default_factory=list)

    def machine(self, machine_id: str | None) -> Row | None:
        return next((row for row in self.machines if row["id"] == machine_id), None)

    def workflow(self, workflow_id: str) -> Workflow | None:
        return next((each for each in self.workflows if each.id == workflow_id), None)

    def by_version(self, version_id: str) -> Workflow | None:
        return next((each for each in self.workflows if each.version_id == version_id), None)

    def deployment(self, deployment_id: str) -> Row | None:
        return next((row for row in self.deployments if row["id"] == deployment_id), None)

    def deploy(self, workflow: Workflow, machine_name: str, environment: str = "production", **more: Any) -> None:
        row = {
            "id": known_id(f"deployment of {workflow.name} on {machine_name} as {environment}"),
            "user_id": USER,
            "org_id": None,
            "workflow_version_id": workflow.version_id,
            "workflow_id": workflow.id,
            "machine_id": known_id(f"machine {machine_name}"),
            "share_slug": None,
            "description": None,
            "share_options": None,
            "showcase_media": None,
            "environment": environment,
            "created_at": _CREATED,
            "updated_at": _CREATED,
            "workflow": {"id": workflow.id, "name": workflow.name, "cover_url": None},
            "input_types": list(workflow.inputs),
            "output_types": list(workflow.outputs),
            "dub_link": None,
            "gpu": None,
            "machine_version_id": None,
            "modal_image_id": None,
            "concurrency_limit": None,
            "run_timeout": None,
            "idle_timeout": None,
            "keep_warm": None,
            "activated_at": None,
            "modal_app_id": None,
        }
        self.deployments.append({**row, **more})
