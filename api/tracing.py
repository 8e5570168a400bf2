"""One OpenTelemetry trace per job, sent over OTLP/HTTP. Without it nothing of OpenTelemetry is imported.

The SDK reads its standard variables (OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER) itself. The ids of
a job's trace and root span follow from the job's id: every run of it, in whichever process, adds to the same trace.
"""

import hashlib
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import InvalidSettings
from .ids import JobId

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_ROOT = "job"
_LAST_WORD_S = 3.0
_NS = 1_000_000_000


class Stage(NamedTuple):
    """One part of a run: its name, when it began (epoch seconds) and how long it took."""

    name: str
    began_at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class TracedRun:
    """One run of a job. `code` is that of its error; None when it succeeded. Times are epoch seconds."""

    job_id: JobId
    began_at: float
    ended_at: float
    stages: Sequence[Stage] = ()
    code: str | None = None
    attributes: Mapping[str, Any] | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class TracedJob:
    """A job from its submit to its end. `waited_until`: when its last run began; None when it never ran."""

    job_id: JobId
    created_at: float
    ended_at: float
    waited_until: float | None = None
    code: str | None = None
    attributes: Mapping[str, Any] | None = None
    traceparent: str | None = None


class Tracing:
    """Sends spans from a thread of the SDK's. A collector that is away costs a job nothing."""

    def __init__(self, provider: "TracerProvider", ids: "_Ids") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("comfyui-worker")
        self._ids = ids

    def run(self, run: TracedRun) -> None:
        """A run and its stages, below the job's root span."""
        below = self._root(run.job_id, run.traceparent)
        inside = self._span("run", below, run.began_at, run.ended_at, run.code, run.attributes)
        for stage in run.stages:
            self._span(stage.name, inside, stage.began_at, stage.began_at + stage.seconds)

    def whole(self, run: TracedRun) -> None:
        """A run that is all there is of its job."""
        self.run(run)
        self.job(
            TracedJob(run.job_id, run.began_at, run.ended_at, run.began_at, run.code, run.attributes, run.traceparent)
        )

    def job(self, job: TracedJob) -> None:
        """The job's root span, and the time it waited in line."""
        parent = _parsed(job.traceparent)
        self._ids.preset(_trace_id(job.job_id), _span_id(job.job_id))
        outer = _context(*parent) if parent else None
        self._span(_ROOT, outer, job.created_at, job.ended_at, job.code, job.attributes)
        below = self._root(job.job_id, job.traceparent)
        self._span("queue", below, job.created_at, job.waited_until or job.ended_at)

    def close(self) -> None:
        """Send what is left, for a few seconds at most: a collector that says nothing shall not hold up a stop."""
        ending = threading.Thread(target=self._provider.shutdown, name="last-traces", daemon=True)
        ending.start()
        ending.join(_LAST_WORD_S)

    def _root(self, job_id: JobId, traceparent: str | None) -> "Context":
        parent = _parsed(traceparent)
        trace_id, flags = (parent[0], parent[2]) if parent else (_trace_id(job_id), self._flags(job_id))
        return _context(trace_id, _span_id(job_id), flags)

    def _flags(self, job_id: JobId) -> int:
        """What the sampler will say of the root span, which may be another process's to send."""
        from opentelemetry.context import Context
        from opentelemetry.sdk.trace.sampling import Decision

        said = self._provider.sampler.should_sample(Context(), _trace_id(job_id), _ROOT)
        return int(said.decision is Decision.RECORD_AND_SAMPLE)

    def _span(
        self,
        name: str,
        parent: "Context | None",
        began_at: float,
        ended_at: float,
        code: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> "Context":
        from opentelemetry.context import Context
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        known = {key: value for key, value in (attributes or {}).items() if value is not None}
        # A context of its own: what is current in this thread is another matter.
        span = self._tracer.start_span(name, parent or Context(), attributes=known, start_time=int(began_at * _NS))
        if code is not None:
            span.set_attribute("error.type", code)
            span.set_status(Status(StatusCode.ERROR, code))
        span.end(int(max(began_at, ended_at) * _NS))
        return set_span_in_context(span, Context())


def connect(version: str, worker: str) -> Tracing:
    """A Tracing as the standard variables say. Raises InvalidSettings where the packages for it are missing."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise InvalidSettings(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the packages that send traces are not installed: "
            "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http."
        ) from error
    own = {SERVICE_NAME: "comfyui-worker", "service.version": version, "service.instance.id": worker}
    ids = _Ids()
    provider = TracerProvider(
        resource=Resource(own).merge(OTELResourceDetector().detect()),
        id_generator=ids.generator(),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider, ids)


class _Ids:
    """Random ids, but for a root span whose ids are known before."""

    def __init__(self) -> None:
        self._preset = threading.local()

    def preset(self, trace_id: int, span_id: int) -> None:
        """The next span of this thread has these; the trace's only if it has no parent."""
        self._preset.ids = (trace_id, span_id)

    def generator(self) -> Any:
        """What the SDK asks."""
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        preset = self._preset

        class Generator(RandomIdGenerator):
            def generate_span_id(self) -> int:
                ids = getattr(preset, "ids", None)
                preset.ids = None
                return ids[1] if ids else super().generate_span_id()

            def generate_trace_id(self) -> int:
                # Asked for before the span's.
                ids = getattr(preset, "ids", None)
                return ids[0] if ids else super().generate_trace_id()

        return Generator()


def _context(trace_id: int, span_id: int, flags: int) -> "Context":
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    above = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(above), Context())


def _parsed(traceparent: str | None) -> tuple[int, int, int] | None:
    """Trace id, span id and flags of a W3C traceparent of version 00; None for what is none."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return (int(match[1], 16), int(match[2], 16), int(match[3], 16)) if match else None


def _trace_id(job_id: JobId) -> int:
    return int.from_bytes(hashlib.sha256(f"trace {job_id}".encode()).digest()[:16]) or 1


def _span_id(job_id: JobId) -> int:
    return int.from_bytes(hashlib.sha256(f"span {job_id}".encode()).digest()[:8]) or 1
