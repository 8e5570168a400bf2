"""What a job tells while it runs, as one closed set of frozen values. Transport and wording are the listeners'."""

from collections.abc import Callable
from dataclasses import dataclass

from ..ids import InstanceName, PromptId


@dataclass(frozen=True, slots=True)
class PromptAssigned:
    """Emitted before the prompt is submitted, so that a restarted worker can ask what became of it."""

    prompt_id: PromptId
    instance: InstanceName


@dataclass(frozen=True, slots=True)
class PromptQueued:
    """ComfyUI has accepted the prompt; `position` counts the prompts ahead of it (0 = next)."""

    position: int


@dataclass(frozen=True, slots=True)
class PromptStarted:
    """ComfyUI has taken the prompt from its queue: from here on it may be what ComfyUI dies of."""


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """ComfyUI began to execute a node."""

    node_id: str
    class_type: str
    title: str


@dataclass(frozen=True, slots=True)
class StepReached:
    """A node reported step `step` of `steps`."""

    node_id: str
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class ProgressMade:
    """Share of the whole graph that is done, 0 to 100; never goes back within a job."""

    percent: float
    nodes_done: int
    nodes_total: int


@dataclass(frozen=True, slots=True)
class PreviewMade:
    """A picture of the unfinished work, as ComfyUI scaled it (at most 512 px)."""

    node_id: str
    mime_type: str
    image: bytes


@dataclass(frozen=True, slots=True)
class OutputProduced:
    """A node has written an output; it is delivered when the run ends. `subfolder` is the caller's own.

    What `is_temp` is delivered only where that is asked for.
    """

    node_id: str
    filename: str
    subfolder: str = ""
    is_temp: bool = False


@dataclass(frozen=True, slots=True)
class SocketChanged:
    """Whether ComfyUI tells by itself from here on; if not it is asked, and progress comes late or not at all."""

    connected: bool


@dataclass(frozen=True, slots=True)
class StageFinished:
    """One of the job's stages (`wait`, `upload`, `execute`, `download`, `deliver`) took `seconds`."""

    stage: str
    seconds: float


JobEvent = (
    PromptAssigned
    | PromptQueued
    | PromptStarted
    | NodeStarted
    | StepReached
    | ProgressMade
    | PreviewMade
    | OutputProduced
    | SocketChanged
    | StageFinished
)
Emit = Callable[[JobEvent], None]


def ignore(_event: JobEvent) -> None:
    """The `emit` of a caller that does not listen."""
