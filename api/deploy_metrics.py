"""Requests to ComfyUI Deploy as Prometheus reads them. No label holds a path: callers may write ids that are in it."""

from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Histogram

_OUTCOMES = ("ok", "refused", "limited", "failed", "unreachable")
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class DeployMetrics:
    """How requests end and how long they take; `comfyui_remote_target_up` says whether ComfyUI Deploy is there."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "comfyui_deploy_requests_total", "Requests to ComfyUI Deploy, by outcome", ["outcome"], registry=registry
        )
        self._seconds = Histogram(
            "comfyui_deploy_request_seconds",
            "Requests to ComfyUI Deploy, until the last byte came or none did",
            buckets=_BUCKETS,
            registry=registry,
        )
        for outcome in _OUTCOMES:
            self._requests.labels(outcome)

    def note(self, _path: str, status: int, seconds: float) -> None:
        """Count one request; status 0 is no answer."""
        self._requests.labels(_outcome(status)).inc()
        self._seconds.observe(seconds)


def _outcome(status: int) -> str:
    if status == 0:
        return "unreachable"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "limited"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "failed"
    return "ok" if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES else "refused"
