"""Metrics as Prometheus reads them: the promised names, one count per end, and labels that stay few."""

import re

import pytest
from support.exposed import families, names, value, values

from api.errors import StoreUnavailable
from api.gpu import Gpu, GpuProbe
from api.ids import InstanceName, JobId
from api.jobs.ends import Run
from api.jobs.job import Job, JobError, Status
from api.jobs.updates import Kind, Update
from api.jobs.webhook_schedule import Answer
from api.metrics import Metrics, State

HERE = InstanceName("127.0.0.1:8188")
# (name, type, labels) that dashboards elsewhere rely on.
PROMISED = [
    ("comfyui_workflow", "counter", {"status"}),
    ("comfyui_workflow_duration_seconds", "histogram", {"gpu_type"}),
    ("comfyui_workflow_errors", "counter", {"error_type"}),
    ("comfyui_queue_length", "gauge", set()),
    ("comfyui_gpu_utilization", "gauge", {"gpu_id"}),
    ("comfyui_vram_usage_bytes", "gauge", {"gpu_id"}),
]


def state(**values) -> State:
    given = {
        "counts": {Status.QUEUED: 3, Status.RUNNING: 1, Status.CANCELING: 1},
        "is_paused": False,
        "free_bytes": 10,
        "spool_bytes": 5,
        "instances": [{"name": HERE, "status": "healthy", "breaker": "closed"}],
        "gpus": [Gpu("0", 6, 24, 87.0)],
    }
    return State(**{**given, **values})


def job(status: Status = Status.SUCCEEDED, **values) -> Job:
    given = {"id": JobId("1"), "created_at": 100.0, "started_at": 102.0, "finished_at": 112.0, "instance": HERE}
    return Job(**{**given, "status": status, **values})


def text(metrics: Metrics) -> str:
    body, media_type = metrics.exposition("text/plain")
    assert media_type.startswith("text/plain; version=0.0.4")
    return body.decode()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3", state)


def test_the_promised_metrics_have_their_names_types_and_labels(metrics: Metrics) -> None:
    metrics.note_end(job(Status.FAILED, error=JobError("OUT_OF_VRAM", "full")))
    found = {family.name: family for family in families(text(metrics))}
    for name, kind, labels in PROMISED:
        assert found[name].type == kind
        assert set(found[name].samples[0].labels) - {"le"} == labels
    assert value(text(metrics), "comfyui_queue_length") == 3
    assert value(text(metrics), "comfyui_gpu_utilization", gpu_id="0") == 87
    assert value(text(metrics), "comfyui_vram_usage_bytes", gpu_id="0") == 6


def test_ends_are_counted_by_how(metrics: Metrics) -> None:
    for status in (Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT, Status.CANCELLED):
        metrics.note_end(job(status, error=JobError("TIMED_OUT", "late") if status is Status.TIMED_OUT else None))
    found = text(metrics)
    counted = {
        word: value(found, "comfyui_workflow_total", status=word) for word in ("completed", "failed", "cancelled")
    }
    assert counted == {"completed": 2, "failed": 2, "cancelled": 1}
    assert value(found, "comfyui_workflow_errors_total", error_type="TIMED_OUT") == 1
    assert value(found, "comfyui_workflow_duration_seconds_count", gpu_type="local") == 4
    assert value(found, "comfyui_workflow_duration_seconds_sum", gpu_type="local") == 40
    assert value(found, "comfyui_workflow_wait_seconds_sum") == 10


def test_rates_begin_at_zero(metrics: Metrics) -> None:
    found = text(metrics)
    assert value(found, "comfyui_workflow_total", status="failed") == 0
    assert value(found, "comfyui_webhook_attempts_total", outcome="failed") == 0
    assert value(found, "comfyui_workflow_duration_seconds_count", gpu_type="local") == 0


def test_what_never_ran_has_no_duration(metrics: Metrics) -> None:
    metrics.note_end(job(Status.CANCELLED, started_at=None))
    assert value(text(metrics), "comfyui_workflow_duration_seconds_count", gpu_type="local") == 0
    assert value(text(metrics), "comfyui_workflow_wait_seconds_count") == 0


def test_codes_of_elsewhere_make_one_label(metrics: Metrics) -> None:
    for number in range(20):
        metrics.note_end(job(Status.FAILED, error=JobError(f"made up {number}", "…")))
    metrics.note_end(job(Status.FAILED))
    assert value(text(metrics), "comfyui_workflow_errors_total", error_type="OTHER") == 21
    metrics.note_end(job(), Run(stages_s={f"stage {number}": 1.0 for number in range(9)}))
    stages = {
        dict(labels)["stage"] for name, labels in values(text(metrics)) if name.startswith("comfyui_workflow_stage")
    }
    assert stages == {"fetch", "wait", "upload", "execute", "download", "deliver", "OTHER"}


def test_stages_and_the_time_a_gpu_was_idle() -> None:
    executing: dict[str, float] = {}
    metrics = Metrics("1", lambda: state(executing_s=executing))
    assert value(text(metrics), "comfyui_gpu_busy_seconds_total", comfyui=HERE) == 0
    executing[HERE] = 0.0001
    assert (value(text(metrics), "comfyui_gpu_busy_seconds_total", comfyui=HERE) or 0) > 0
    executing.clear()
    metrics.note_end(job(), Run(stages_s={"execute": 0.0002}))
    found = text(metrics)
    assert value(found, "comfyui_gpu_busy_seconds_total", comfyui=HERE) == pytest.approx(0.0002)
    assert value(found, "comfyui_workflow_stage_seconds_sum", stage="execute") == 0.0002
    # Executing more than the clock has seen is no idle time below zero, and nothing goes back.
    metrics.note_end(job(), Run(stages_s={"execute": 1e6}))
    idle = value(found, "comfyui_gpu_idle_seconds_total", comfyui=HERE)
    assert value(text(metrics), "comfyui_gpu_idle_seconds_total", comfyui=HERE) == idle


def test_announcements_and_webhooks(metrics: Metrics) -> None:
    for data in ({"position": 1}, {"again": True}):
        metrics.note_update(Update(JobId("1"), 1, 1.0, Kind.QUEUED, data))
    metrics.note_update(Update(JobId("1"), 1, 1.0, Kind.STARTED, {}))
    # Not by announcements: a job that a worker began at once is announced as started only.
    for _ in range(2):
        metrics.note_accept(job())
    for answer in (Answer(204), Answer(500), Answer(None, "no answer")):
        metrics.note_webhook(answer)
    found = text(metrics)
    assert value(found, "comfyui_workflow_submitted_total") == 2
    assert value(found, "comfyui_workflow_requeued_total") == 1
    assert value(found, "comfyui_webhook_attempts_total", outcome="delivered") == 1
    assert value(found, "comfyui_webhook_attempts_total", outcome="failed") == 2


def test_requests_to_comfyui_deploy_by_outcome() -> None:
    metrics = Metrics("1", state)
    for status in (200, 204, 302, 404, 429, 500, 503, 0):
        metrics.deploy.note("/run/{id}", status, 0.2)
    found = text(metrics)
    counted = {
        outcome: value(found, "comfyui_deploy_requests_total", outcome=outcome)
        for outcome in ("ok", "refused", "limited", "failed", "unreachable")
    }
    assert counted == {"ok": 2, "refused": 2, "limited": 1, "failed": 2, "unreachable": 1}
    assert value(found, "comfyui_deploy_request_seconds_count") == 8 and "/run/" not in found


def test_remote_targets_and_the_time_of_their_workflows() -> None:
    remotes = [{"name": "far", "status": "unhealthy", "breaker": "half_open"}, {"name": "near", "status": "healthy"}]
    metrics = Metrics("1", lambda: state(remotes=remotes))
    metrics.note_end(job(target="far", instance="far"))
    found = text(metrics)
    assert value(found, "comfyui_workflow_duration_seconds_sum", gpu_type="far") == 10
    assert value(found, "comfyui_workflow_duration_seconds_sum", gpu_type="local") == 0
    assert [value(found, "comfyui_remote_target_up", target=name) for name in ("far", "near")] == [0, 1]
    assert [value(found, "comfyui_remote_target_breaker_state", target=name) for name in ("far", "near")] == [1, 0]


@pytest.mark.parametrize(
    ("instance", "up", "breaker"),
    [
        ({"status": "healthy", "breaker": "closed"}, 1, 0),
        ({"status": "unhealthy", "breaker": "half_open"}, 0, 1),
        ({"status": "unhealthy", "breaker": "open"}, 0, 2),
        ({"status": "unhealthy"}, 0, 2),
        ({"status": "healthy"}, 1, 0),
    ],
)
def test_instances(instance: dict[str, str], up: int, breaker: int) -> None:
    found = text(Metrics("1", lambda: state(instances=[{"name": HERE, **instance}])))
    assert value(found, "comfyui_instance_up", comfyui=HERE) == up
    assert value(found, "comfyui_instance_breaker_state", comfyui=HERE) == breaker


def test_without_the_database_the_rest_is_told() -> None:
    def look() -> State:
        raise StoreUnavailable("locked")

    found = text(Metrics("1", look))
    assert value(found, "comfyui_store_up") == 0
    assert value(found, "comfyui_workflow_total", status="failed") == 0
    assert value(found, "comfyui_queue_length") is None


def test_the_exposition_is_clean(metrics: Metrics) -> None:
    metrics.note_request("GET", "/jobs/{job_id}", 200, 0.1)
    for family in families(text(metrics)):
        assert family.documentation, family.name
        assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name)
        assert family.type in {"counter", "gauge", "histogram"}
        assert not family.name.endswith("_created")
    assert "comfyui_workflow_total" in names(text(metrics))
    body, media_type = metrics.exposition("application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text") and body.endswith(b"# EOF\n")


def test_a_gpu_elsewhere_is_what_its_comfyui_says() -> None:
    cuda = {"name": "cuda:0", "type": "cuda", "index": 0, "vram_total": 24, "vram_free": 4}
    cpu = {"name": "cpu", "type": "cpu", "index": None, "vram_total": 64, "vram_free": 4}
    asked = {"far:8188": lambda: {"devices": [cuda, cpu, {"type": "cuda"}, None]}, "old:8188": dict}
    assert GpuProbe(lambda: asked, is_here=False).sample() == [Gpu("far:8188/0", 20, 24)]
