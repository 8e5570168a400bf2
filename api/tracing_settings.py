"""What the settings say of traces: only whether there are to be any. OpenTelemetry reads its variables itself."""

from pydantic import BaseModel, Field


class TracingSettings(BaseModel):
    """The part of the settings that is about traces."""

    otel_exporter_otlp_endpoint: str | None = Field(
        None,
        description="OpenTelemetry collector that takes OTLP over HTTP: each job is sent there as one trace. The other "
        "OTEL_… variables hold as well; needs the packages of the extra `otel`",
    )
    otel_exporter_otlp_traces_endpoint: str | None = Field(None, description="The same, the whole URL, for traces only")
    otel_sdk_disabled: bool = Field(False, description="No traces, whatever else is set")

    @property
    def traces(self) -> bool:
        """Whether jobs are to be sent as traces."""
        endpoint = self.otel_exporter_otlp_endpoint or self.otel_exporter_otlp_traces_endpoint
        return bool(endpoint) and not self.otel_sdk_disabled
