"""Settings → the remote targets: what jobs run on that is none of this worker's ComfyUIs."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from .errors import WorkerError
from .ids import JobId
from .jobs.ports import Capacity, InputFile, Target
from .logs import get_logger
from .remote_settings import RemoteConfig
from .s3 import S3Connection
from .settings import Settings

if TYPE_CHECKING:
    from .remote.attach import Share

# Where input files that are too large for a request lie in the bucket, while their job needs them.
_SHARED = "inputs"
_SHARED_S = 24 * 3600

log = get_logger()


class Remote(Protocol):
    """A target elsewhere, and what is known of it. It is watched from `start` to `close`."""

    @property
    def name(self) -> str:
        """By which jobs ask for it, and the instance its jobs are told to run on."""

    @property
    def target(self) -> Target:
        """What runs the jobs."""

    @property
    def capacity(self) -> Capacity:
        """How many it takes now."""

    def start(self) -> None:
        """Begin to watch it."""

    def facts(self) -> Mapping[str, Any]:
        """`{"name", "status", "reason"?, "kind", "breaker", "slots", "running"}`."""

    def hand_back_waiting(self) -> None:
        """From now on no seats are given; what runs goes on."""

    def close(self) -> None:
        """Stop watching and close the connections."""


def build_remotes(settings: Settings, bucket: S3Connection | None) -> dict[str, Remote]:
    """By name. `bucket` is where large inputs are put. Connects to nothing yet. Raises InvalidSettings."""
    share = SharedInputs(bucket, f"{bucket.location.prefix}/{settings.bucket_key_prefix}") if bucket else None
    return {config.name: _build(settings, config, share) for config in settings.remotes}


def _build(settings: Settings, config: RemoteConfig, share: "Share | None") -> Remote:
    from .remote.build import build  # only where there is one

    return build(
        config.kind,
        name=config.name,
        url=config.url,
        api_key=config.api_key,
        max_jobs=config.max_jobs,
        headers=config.headers,
        share=share,
        allow_private=settings.input_url_allow_private,
        allowed_hosts=settings.input_url_allowed_hosts,
        patience_s=settings.comfy_unreachable_grace_s,
        breaker_failures=settings.comfy_breaker_failures,
        breaker_open_s=settings.comfy_breaker_open_s,
        settings=config.settings,
    )


class SharedInputs:
    """Input files in the bucket, below `prefix`/inputs/<hash of the job's id>/: any worker can tell where they are."""

    def __init__(self, bucket: S3Connection, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix

    def put(self, job_id: JobId, file: InputFile) -> str:
        """A URL that reads the file for a day. Raises StorageUnreachable."""
        key = self._key(job_id, file)
        with self._bucket.translated("share an input file"):
            self._bucket.upload(file.path, key, file.mime_type)
        return self._bucket.presigned_url(key, _SHARED_S)

    def remove(self, job_id: JobId, files: Sequence[InputFile]) -> None:
        """Delete them. Never raises: what could not be deleted is told in the log."""
        try:
            for file in files:
                with self._bucket.translated("remove a shared input file"):
                    self._bucket.delete(self._key(job_id, file))
        except WorkerError as error:
            log.warning("Shared input files of a job stay in the bucket", job_id=job_id, error=error.message)

    def _key(self, job_id: JobId, file: InputFile) -> str:
        folder = hashlib.sha256(job_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        name = f"{file.sha256}{PurePosixPath(file.name).suffix}"
        return str(PurePosixPath(self._prefix, _SHARED, folder, name)).lstrip("/")


def trouble_of(remote: Remote) -> str | None:
    """Why it takes no jobs; None when it does."""
    facts = remote.facts()
    if facts["status"] == "healthy":
        return None
    return str(facts.get("reason") or f"It is {facts['status']}.")
