"""What the settings say of remote targets: where they are, their keys, and when jobs of the local line go there."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

Kind = Literal["runpod", "salad"]
_MAX_JOBS = 4
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
# Words that name something else than a remote target; the last one is for runs of ComfyUI Deploy.
_TAKEN = frozenset({"local", "deploy"})


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """One remote target. `settings` names the settings its url and its key are from, for texts of errors."""

    name: str
    kind: Kind
    url: str
    api_key: str | None = field(default=None, repr=False)
    max_jobs: int = _MAX_JOBS
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    settings: tuple[str, str] = ("REMOTE_TARGETS", "REMOTE_TARGETS")


class _Entry(BaseModel):
    """A target as REMOTE_TARGETS has it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    kind: Kind
    url: Annotated[str, Field(min_length=1)]
    api_key: str | None = None
    max_jobs: Annotated[int, Field(gt=0)] | None = None
    headers: dict[str, str] = {}


class RemoteSettings(BaseModel):
    """The part of the settings that is about remote targets."""

    remote_runpod_url: str | None = Field(
        None, description="RunPod endpoint that runs this worker, for jobs with gpu=runpod: https://api.runpod.ai/v2/ID"
    )
    remote_runpod_api_key: SecretStr | None = Field(None, description="Its key")
    remote_salad_url: str | None = Field(None, description="SaladTechnologies comfyui-api, for jobs with gpu=salad")
    remote_salad_api_key: SecretStr | None = Field(None, description="Its key")
    remote_max_jobs: int = Field(
        _MAX_JOBS, gt=0, description="Jobs given to each remote target at a time, unless REMOTE_TARGETS says otherwise"
    )
    remote_targets: SecretStr | None = Field(
        None,
        description='More of them, by name: {"big": {"kind": "runpod", "url": …, "api_key": …, "max_jobs": 8}} or a '
        "file of such JSON; kind is runpod or salad, headers are sent along",
    )
    overflow_target: str | None = Field(
        None, description="Remote target for jobs without gpu that would wait here for too long; none = they wait"
    )
    overflow_after_s: float = Field(
        60,
        ge=0,
        description="Seconds that are too long: of the wait to come, or where it cannot be told of that so far",
    )

    @field_validator("remote_targets")
    @classmethod
    def _are_targets(cls, value: SecretStr | None) -> SecretStr | None:
        _entries(value)
        return value

    @field_validator("overflow_target", mode="before")
    @classmethod
    def _in_small_letters(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _targets_fit_together(self) -> "RemoteSettings":
        names = [remote.name for remote in self.remotes]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"REMOTE_TARGETS has {name}, and so has REMOTE_{name.upper()}_URL: leave one out")
        if self.overflow_target and self.overflow_target not in names:
            known = ", ".join(names) or "there is none, see REMOTE_TARGETS"
            raise ValueError(f"OVERFLOW_TARGET: {self.overflow_target!r} is no remote target ({known})")
        return self

    @property
    def remotes(self) -> tuple[RemoteConfig, ...]:
        """The remote targets that are configured."""
        return tuple(self._remotes())

    def _remotes(self) -> Iterator[RemoteConfig]:
        yield from self._one("runpod", self.remote_runpod_url, self.remote_runpod_api_key)
        yield from self._one("salad", self.remote_salad_url, self.remote_salad_api_key)
        for name, entry in _entries(self.remote_targets).items():
            most = entry.max_jobs or self.remote_max_jobs
            yield RemoteConfig(name, entry.kind, entry.url, entry.api_key, most, entry.headers)

    def _one(self, kind: Kind, url: str | None, key: SecretStr | None) -> Iterator[RemoteConfig]:
        """The one that has settings of its own."""
        if url:
            settings = (f"REMOTE_{kind.upper()}_URL", f"REMOTE_{kind.upper()}_API_KEY")
            secret = key.get_secret_value() if key else None
            yield RemoteConfig(kind, kind, url, secret, self.remote_max_jobs, settings=settings)


def _entries(value: SecretStr | None) -> dict[str, _Entry]:
    """The targets of REMOTE_TARGETS by name. Raises ValueError, without any of its keys."""
    text = value.get_secret_value().strip() if value else ""
    if not text:
        return {}
    if not text.startswith("{"):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ValueError(f"is neither a JSON object nor a file that can be read: {reason}") from None
    try:
        found = TypeAdapter(dict[str, _Entry]).validate_python(json.loads(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"at {place or 'its top'}: {first['msg']}") from None
    except ValueError:
        raise ValueError("is no valid JSON") from None
    for name in found:
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise ValueError(
                f"{name!r} cannot be the name of a target: small letters, digits, _, . and -; "
                f"{' and '.join(sorted(_TAKEN))} are taken"
            )
    return found
