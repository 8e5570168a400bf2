"""The interfaces the job core needs from the outside, and the values that cross them. Owned by the consumer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..errors import Detail, WorkerError
from ..ids import InstanceName, JobId, PromptId
from .cancel import CancelToken
from .events import Emit, JobEvent
from .placement import Placement
from .request import DeploymentSpec, S3Config

Workflow = Mapping[str, Mapping[str, Any]]


def nobody() -> bool:
    """Where nobody wants a thing."""
    return False


Duty = Callable[[], None]


def at_once(duty: Duty) -> None:
    """Where nothing has to be written down first."""
    duty()


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


class Seat(Protocol):
    """Room for one job, taken before the job is: it will not be turned away for want of it."""

    def leave(self) -> None:
        """Give it back: the job has ended, or there was none. Again is no harm."""


class Capacity(Protocol):
    """Says whether a job can be taken now; the consumer takes none before."""

    def take(self, timeout_s: float) -> Seat | None:
        """Room for one job, waited for as long at most."""

    def available(self, besides: InstanceName | None = None) -> bool:
        """Whether there is room now, elsewhere than in `besides`."""

    def most(self) -> int:
        """How many seats there are at most."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a target needs to run one job. The workflow is checked but still carries the caller's names.

    `folder` is the job's own, below ComfyUI's input and output folders; `label` that of the ComfyUIs it may run on.
    `wants_previews` is asked at each of them. With a `deployment` the workflow is empty. `afterwards` is given what
    makes ComfyUI forget the job: done too early, a run whose end is not written down yet could not be followed again.
    """

    job_id: JobId
    workflow: Workflow
    folder: str
    files: tuple[InputFile, ...] = ()
    comfy_org_api_key: str | None = None
    extra_pnginfo: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False
    include_temp: bool = False
    wants_previews: Callable[[], bool] = nobody
    afterwards: Callable[[Duty], None] = at_once
    facts: bool = False
    timeout_s: float | None = None
    resume: Attempt | None = None
    seat: Seat | None = None
    label: str | None = None
    deployment: DeploymentSpec | None = None


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


class Report(Protocol):
    """Tells somebody beside the caller how a job goes."""

    def told(self, event: JobEvent) -> None:
        """An event of the job."""

    def outputs(self, outcome: RunOutcome, cancel: CancelToken) -> None:
        """What it has made, while it is on local disk. Raises DeliveryFailed, the reason of the cancel."""

    def ended(self, result: Mapping[str, Any]) -> None:
        """How it ended."""


class Target(Protocol):
    """Something that runs prompts: a pool of ComfyUIs, a remote endpoint."""

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


class Bucket(Protocol):
    """Object storage: like a sink, but a put may take long enough to be worth cutting."""

    def put(self, job_id: JobId, file: OutputFile, cancel: CancelToken) -> Delivered:
        """Hand one file over. Raises DeliveryFailed (or a child), or the reason of the cancel."""


@dataclass(frozen=True, slots=True)
class Host:
    """What the mode that runs a job holds for it: nothing in serverless, its spool in HTTP API mode.

    `inline` takes the place of the sink that puts base64 into the result, `held` are the local files behind sources
    only the host can have written, and `resume` is the prompt an earlier worker submitted. `archive` gets a copy of
    every output, wherever else it goes. `seat` is the room it has taken for the job, `placement` where the job was
    decided to run; without one the job's own words decide. `wants_previews` says whether somebody waits for previews.
    `afterwards` takes what is to be done once the job's end is written down.
    """

    inline: OutputSink | None = None
    archive: OutputSink | None = None
    held: Mapping[str, Path] = field(default_factory=dict)
    resume: Attempt | None = None
    seat: Seat | None = None
    placement: Placement | None = None
    wants_previews: Callable[[], bool] = nobody
    afterwards: Callable[[Duty], None] = at_once


class S3SinkFactory(Protocol):
    """Makes the sink for the bucket a request brings along."""

    def __call__(self, config: S3Config) -> Bucket:
        """Raises InvalidInput when the configuration cannot be used."""
