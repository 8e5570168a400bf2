"""The part of the settings that is about ComfyUI Deploy."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

_Seconds = Annotated[float, Field(gt=0)]


class DeploySettings(BaseModel):
    """Without a key there is no ComfyUI Deploy."""

    comfy_deploy_api_key: SecretStr | None = Field(None, description="Key of ComfyUI Deploy; none = it is not used")
    comfy_deploy_api_url: str = Field("https://api.comfydeploy.com", description="Where its API is")
    comfy_deploy_api_prefix: str = Field(
        "/api", description="Put behind that URL unless it ends so; empty for installations without one"
    )
    webhook_url: str | None = Field(
        None, description="Address of this API as ComfyUI Deploy can reach it, for news of runs; none = they are asked"
    )
    comfy_deploy_cache_ttl_s: _Seconds = Field(
        60, description="Age at which what the account has is asked for anew, and shown meanwhile"
    )
    comfy_deploy_cache_dir: Path | None = Field(
        None, description="Where it is kept for when the API is away; none = beside the jobs' files"
    )
    comfy_deploy_redis_url: SecretStr | None = Field(
        None, description="Redis that several gateways share it in, so that one asks for all (redis://…)"
    )
    comfy_deploy_timeout_s: _Seconds = Field(30, description="Longest wait for one answer of ComfyUI Deploy")
    comfy_deploy_poll_s: _Seconds = Field(2, description="Pause between two looks at a run that tells nothing")
    comfy_deploy_max_runs: Annotated[int, Field(gt=0)] = Field(8, description="Runs in hand at once")
