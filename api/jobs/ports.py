"""The interfaces the job core needs from the outside, and the values that cross them. Owned by the consumer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..errors import Detail, WorkerError
from ..ids import InstanceName, JobId, PromptId
from .cancel import CancelToken
from .events import Emit
from .request import S3Config

Workflow = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class InputFile:
    """One checked input file on local disk. `name` is the caller's and may carry a subfolder."""

    name: str
    path: Path
    mime_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A prompt submitted earlier for the same job, to be followed instead of run again."""

    prompt_id: PromptId
    instance: InstanceName


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a target needs to run one job. The workflow is checked but still carries the caller's names."""

    job_id: JobId
    workflow: Workflow
    files: tuple[InputFile, ...] = ()
    comfy_org_api_key: str | None = None
    extra_pnginfo: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False
    include_temp: bool = False
    previews: bool = False
    facts: bool = False
    timeout_s: float | None = None
    resume: Attempt | None = None


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One output of a run, fetched to local disk. `subfolder` is the caller's own, without the job's folder.

    `reused` is true when ComfyUI took the content from its cache instead of rendering it in this run.
    """

    node_id: str
    key: str
    index: int
    filename: str
    subfolder: str
    kind: str
    reused: bool
    path: Path
    mime_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class OutputText:
    """One text output (PreviewAny, captioners) of a run."""

    node_id: str
    key: str
    index: int
    text: str
    reused: bool


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What came out of a run. `failure` is set when a node failed after others had produced outputs."""

    files: tuple[OutputFile, ...]
    texts: tuple[OutputText, ...]
    warnings: tuple[Detail, ...] = ()
    failure: WorkerError | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class Target(Protocol):
    """Something that runs prompts: a pool of ComfyUIs, a remote endpoint."""

    def available(self) -> bool:
        """Whether a job given now would start without waiting for capacity."""

    def run(self, request: RunRequest, workdir: Path, emit: Emit, cancel: CancelToken) -> RunOutcome:
        """Run one job; outputs are fetched into `workdir`. Raises WorkerError when nothing was produced."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Where an output went: `type` is `base64`, `s3_url` or `file`; `data` the content or address."""

    type: str
    data: str


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """One output and where it went. `original` is where the full-size file lies when only a preview went inline."""

    file: OutputFile
    where: Delivered
    width: int | None = None
    height: int | None = None
    original: "DeliveredFile | None" = None
    note: str | None = None


class OutputSink(Protocol):
    """A place outputs are put. Streams from the file; never needs the whole of it twice."""

    def put(self, job_id: JobId, file: OutputFile) -> Delivered:
        """Hand one file over. Raises DeliveryFailed (or a child) when it cannot."""


@dataclass(frozen=True, slots=True)
class Host:
    """What the mode that runs a job holds for it: nothing in serverless, its spool in HTTP API mode.

    `inline` takes the place of the sink that puts base64 into the result, `held` are the local files behind sources
    only the host can have written, and `resume` is the prompt an earlier worker submitted.
    """

    inline: OutputSink | None = None
    held: Mapping[str, Path] = field(default_factory=dict)
    resume: Attempt | None = None


class S3SinkFactory(Protocol):
    """Makes the sink for the bucket a request brings along."""

    def __call__(self, config: S3Config) -> OutputSink:
        """Raises InvalidInput when the configuration cannot be used."""
