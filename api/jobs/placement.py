"""Where a job is to run: on the ComfyUIs of this worker, on some of them, or somewhere else altogether."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import Detail, InvalidInput
from ..ids import JobId
from .quoting import quote

if TYPE_CHECKING:
    from .request import JobRequest

# The target that every worker has: its own ComfyUIs.
LOCAL = "local"
# What runs deployments of ComfyUI Deploy; the label of such a job is the machine there.
DEPLOY = "deploy"


@dataclass(frozen=True, slots=True)
class Placement:
    """`label` (small letters) is that of the ComfyUIs of `target` it may run on, or the name of one; None is all.

    `is_chosen`: somebody asked for this very place, so it stays there however long the line is.
    """

    target: str = LOCAL
    label: str | None = None
    is_chosen: bool = False

    @property
    def is_movable(self) -> bool:
        """Whether the job may go to another target when the line here is long."""
        return self.target == LOCAL and self.label is None and not self.is_chosen


@dataclass(frozen=True, slots=True)
class Arrival:
    """A job that is to be placed. `workflow_name` is that of the named workflow it came as, if it did."""

    job_id: JobId
    request: "JobRequest"
    workflow_name: str | None = None
    is_operator: bool = False


def _no_labels() -> Collection[str]:
    return ()


class Places:
    """What a job may name as its `gpu`. `labels` are those of the ComfyUIs there are now; a target's name goes before.

    Safe to share between threads.
    """

    def __init__(self, targets: Collection[str] = (), labels: Callable[[], Collection[str]] = _no_labels) -> None:
        self._targets = tuple(targets)
        self._labels = labels

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets, `local` first."""
        return (LOCAL, *self._targets)

    def words(self) -> tuple[str, ...]:
        """All of them, `local` first."""
        labels = sorted({label.lower() for label in self._labels() if label})
        return tuple(dict.fromkeys((LOCAL, *self._targets, *labels)))

    def of(self, request: "JobRequest") -> Placement:
        """By the job's `gpu` alone, or by its deployment. Raises InvalidInput for a place that is not there."""
        return self.named(request.gpu) if request.deployment is None else self._of_deployment(request)

    def named(self, gpu: str | None) -> Placement:
        """By that word (small letters). Raises InvalidInput for a place that is not there."""
        if gpu is None:
            return Placement()
        words = self.words()
        if gpu not in words:
            message = f"gpu is {quote(gpu)}; there is: {', '.join(words)}."
            raise InvalidInput(message, [Detail(field="gpu", code="unknown_gpu", message=message)])
        if gpu == LOCAL or gpu in self._targets:
            return Placement(gpu, is_chosen=True)
        return Placement(label=gpu, is_chosen=True)

    def _of_deployment(self, request: "JobRequest") -> Placement:
        if DEPLOY not in self._targets:
            message = "This worker has no ComfyUI Deploy to run a deployment on: set COMFY_DEPLOY_API_KEY."
            raise InvalidInput(message, [Detail(field="deployment", code="no_deploy", message=message)])
        if request.gpu not in {None, DEPLOY}:
            message = f"gpu is {quote(str(request.gpu))}, but a deployment runs on ComfyUI Deploy: leave it out."
            raise InvalidInput(message, [Detail(field="gpu", code="unknown_gpu", message=message)])
        machine = request.deployment.machine_id if request.deployment else ""
        return Placement(DEPLOY, label=machine or request.machine_id, is_chosen=True)
