"""The settings of /api/comfy, which Settings inherits."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, Field

_Seconds = Annotated[float, Field(gt=0)]


class ComfySettings(BaseModel):
    """What callers of /api/comfy meet, and how patiently a ComfyUI is tried again."""

    comfy_enabled: bool = Field(True, description="Serve /api/comfy; without it only /api/comfy/health answers there")
    comfyui_host: str | None = Field(
        None,
        validation_alias=AliasChoices("comfyui_host", "comfy_api_url"),
        description="Another name for COMFY_HOST, which wins where both are set; also as COMFY_API_URL",
    )
    comfy_image_dir: Path | None = Field(
        None, description="Folder of the gallery's pictures, by day; none = generated/comfy in ROOT_DIR"
    )
    root_dir: Path | None = Field(None, description="Folder that holds generated/comfy; none = that of the jobs' files")
    comfy_gallery_generated: Literal["job", "always", "off"] = Field(
        "job", description="Outputs of jobs in the gallery: as long as their job is kept, until deleted, or not"
    )
    comfy_gallery_undo_s: _Seconds = Field(30, description="Time in which a deletion from the gallery can be undone")
    comfy_view_rate: str | None = Field(
        "20/second", description="Files one key or address may fetch at /api/comfy/view; off = no limit"
    )
    comfy_health_interval_s: _Seconds = Field(
        60, description="Longest pause between two looks at a ComfyUI; where set, COMFY_PROBE_INTERVAL_S is the same"
    )
    comfy_reconnect_max_attempts: int = Field(
        5, ge=0, description="Tries in a row to reach a ComfyUI again; WEBSOCKET_RECONNECT_ATTEMPTS goes before"
    )
    comfy_reconnect_base_delay_s: _Seconds = Field(0.5, description="Pause before the second of them; it doubles")
    comfy_reconnect_max_delay_s: _Seconds = Field(
        30, description="Longest of those pauses; for the socket WEBSOCKET_RECONNECT_DELAY_S, unless only this is set"
    )
