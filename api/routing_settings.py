"""The part of the settings that is about what workflows are called and where they go."""

from pathlib import Path

from pydantic import BaseModel, Field


class RoutingSettings(BaseModel):
    """Files that are read again when they change."""

    workflow_names: Path | None = Field(
        None, description="JSON file of what workflows are called, over the built-in names; none = those alone"
    )
    routing_file: Path | None = Field(
        None, description="JSON file of rules that send jobs to machines by workflow or model; none = no rules"
    )
