"""Runs: what becomes of one, from not-started to its end, and the row that tells it."""

import asyncio
import base64
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import aiohttp

from ..faults import Faults
from .account import USER, Row, Workflow, now
from .hooks import Hooks, wants_outputs
from .pictures import picture

ENDED = ("success", "failed", "timeout", "cancelled")
_LOOK_S = 0.01
_STEPS = 4


@dataclass
class Run:
    """`origin` is where the stand-in was asked, `token` what a machine of the user's own reports with."""

    workflow: Workflow
    machine: Row
    inputs: Mapping[str, Any]
    origin: str
    number: int
    deployment: Row | None = None
    webhook: str | None = None
    intermediate: bool = False
    gpu: str | None = None
    graph: Mapping[str, Any] | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    token: str = field(default_factory=lambda: f"cdt-{uuid.uuid4().hex}")
    status: str = "not-started"
    progress: float = 0
    live_status: str | None = None
    queued_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    webhook_status: str | None = None
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)
    outputs: list[Row] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def row(self, *, old: bool = False, queue_position: int | None = None) -> Row:
        row = {
            "id": self.id,
            "workflow_version_id": self.workflow.version_id,
            "workflow_inputs": dict(self.inputs),
            "workflow_id": self.workflow.id,
            "machine_id": self.machine["id"],
            "origin": "api",
            "status": self.status,
            "ended_at": self.ended_at,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "queued_at": self.queued_at,
            "started_at": self.started_at,
            "gpu_event_id": None,
            "gpu": self.gpu or self.machine["gpu"],
            "machine_version": None,
            "machine_type": self.machine["type"],
            "modal_function_call_id": f"fc-{self.id[:8]}" if self._is_serverless else None,
            "user_id": USER,
            "org_id": None,
            "live_status": self.live_status,
            "progress": self.progress,
            "is_realtime": False,
            "webhook": self.webhook,
            "webhook_status": self.webhook_status,
            "webhook_intermediate_status": self.intermediate,
            "outputs": self.outputs,
            "number": self.number,
            "duration": None,
            "cold_start_duration": None,
            "cold_start_duration_total": None,
            "run_duration": None,
            "queue_position": queue_position,
        }
        return {**row, "workflow_api": dict(self.workflow.graph)} if old else row

    @property
    def _is_serverless(self) -> bool:
        return str(self.machine["type"]) == "comfy-deploy-serverless"


class Runs:
    """All runs of the account. One takes `run_s` seconds."""

    def __init__(self, hooks: Hooks, faults: Faults, run_s: float) -> None:
        self._hooks = hooks
        self._faults = faults
        self._run_s = run_s
        self._runs: dict[str, Run] = {}
        self._first_hooks: dict[str, Row] = {}
        self.files: dict[str, bytes] = {}

    def get(self, run_id: str) -> Run | None:
        return self._runs.get(run_id)

    def all(self) -> list[Run]:
        return list(self._runs.values())

    def add(self, **fields: Any) -> Run:
        run = Run(number=len(self._runs) + 1, **fields)
        self._runs[run.id] = run
        return run

    def begin(self, run: Run) -> None:
        run.task = asyncio.create_task(self._life(run))

    async def close(self) -> None:
        tasks = [run.task for run in self._runs.values() if run.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cancel(self, run: Run) -> None:
        if run.task is not None:
            run.task.cancel()
        if not run.has_ended:
            self.change(run, "cancelled")

    def change(self, run: Run, status: str, progress: float | None = None, live_status: str | None = None) -> None:
        """The run's next state, told to its webhook as the server does."""
        if run.status in ENDED:
            return
        run.status, run.live_status, run.updated_at = status, live_status, now()
        run.progress = run.progress if progress is None else progress
        if status == "queued":
            run.queued_at = run.updated_at
        if status == "started":
            run.started_at = run.updated_at
        if status in ENDED:
            run.ended_at = run.updated_at
        if run.webhook and (status in ENDED or run.intermediate):
            self._tell(run, "run.updated")

    def put_out(self, run: Run, data: Mapping[str, Any], node_meta: Any, output_id: str | None) -> None:
        stamp = now()
        row = {"id": str(uuid.uuid4()), "output_id": output_id, "run_id": run.id, "data": dict(data)}
        row |= {"node_meta": node_meta, "created_at": stamp, "updated_at": stamp, "type": None, "node_id": None}
        run.outputs.append(row)
        if run.webhook and wants_outputs(run.webhook):
            self._tell(run, "run.output")

    def _tell(self, run: Run, event: str) -> None:
        assert run.webhook
        body = {
            "event_type": event,
            "status": run.status,
            "live_status": run.live_status,
            "progress": run.progress,
            "run_id": run.id,
            "outputs": list(run.outputs),
        }
        self._hooks.send(run.webhook, body)
        first = self._first_hooks.setdefault(run.id, body)
        if run.has_ended and first is not body and self._faults.value("late_webhooks"):
            self._hooks.send(run.webhook, first)

    async def _life(self, run: Run) -> None:
        pause_s = self._run_s / (_STEPS + 2)
        for status in ("queued", "started"):
            self.change(run, status)
            await asyncio.sleep(pause_s)
        self.change(run, "running", 0.1, "Executing EmptyImage")
        for step in range(_STEPS):
            await asyncio.sleep(pause_s)
            self.change(run, "running", 0.1 + 0.8 * (step + 1) / (_STEPS + 1), "Executing KSampler")
        while self._faults.value("hold_runs"):
            await asyncio.sleep(_LOOK_S)
        self._end(run)

    def _end(self, run: Run) -> None:
        for fault, status in (("fail_runs", "failed"), ("timeout_runs", "timeout")):
            if self._faults.take(fault):
                self.change(run, status, live_status="Error: out of luck" if status == "failed" else None)
                return
        self.change(run, "uploading", 0.9, "Uploading")
        if not self._faults.take("empty_runs"):
            name = "out_00001_.png"
            place = f"outputs/runs/{run.id}/{name}"
            self.files[place] = picture(run.inputs)
            entry: Row = {"url": f"{run.origin}/files/{place}", "type": "output", "filename": name}
            entry |= {"is_public": True, "subfolder": "", "upload_duration": 0.01}
            self.put_out(run, {"images": [entry]}, {"node_id": "9", "node_class": "ComfyDeployOutputImage"}, "out")
        self.change(run, "success", 1)

    async def hand_over(self, run: Run) -> tuple[int, str] | None:
        """Give the run to a machine of the user's own, as the server does; why not, if it refuses."""
        machine, raw = run.machine, dict(run.graph or run.workflow.graph)
        params: Row = {
            "prompt_id": run.id,
            "workflow_api_raw": raw,
            "workflow_api": raw,
            "inputs": dict(run.inputs),
            "status_endpoint": f"{run.origin}/api/update-run",
            "file_upload_endpoint": f"{run.origin}/api/file-upload",
            "workflow": {"nodes": [], "links": []},
            "gpu_event_id": None,
            "cd_token": run.token,
        }
        url, body, headers = _as_classic(machine, params)
        if machine["type"] == "runpod-serverless":
            if not machine["auth_token"]:
                return 400, "Machine auth token not found"
            url, body = f"{machine['endpoint']}/run", {"input": params}
            headers = {"Authorization": f"Bearer {machine['auth_token']}"}
        try:
            async with self._hooks.session.post(url, json=body, headers=headers) as answer:
                if answer.status >= 400:
                    return answer.status, f"Error creating run: {answer.status} {answer.reason}"
                await answer.read()
        except aiohttp.ClientError as error:
            return 500, str(error)
        return None


def _as_classic(machine: Row, params: Row) -> tuple[str, Row, dict[str, str]]:
    token = machine["auth_token"]
    headers = {}
    if token:
        headers = {"Authorization": f"Basic {base64.b64encode(token.encode()).decode()}", "authorizationheader": token}
    return urljoin(machine["endpoint"], "comfyui-deploy/run"), params, headers
