"""Runs jobs on one ComfyUI. What one run does stands in attempt.py; this decides how often it is done there."""

import functools
import time
from pathlib import Path

from ..comfyui.limits import RunLimits
from ..errors import ComfyDied, ComfyUnreachable, ComfyWedged, PromptLost, WorkerError
from ..jobs.cancel import CancelToken
from ..jobs.events import Emit
from ..jobs.ports import RunOutcome, RunRequest
from ..logs import get_logger
from .attempt import Attempts
from .cleanup import Cleaner
from .collect import StaleOutput
from .instance import NOT_BACK, Instance
from .leash import Leash

log = get_logger()

# How a run is lost without the workflow being the reason. What a node raised is never repeated.
_LOSSES = (PromptLost, ComfyDied, ComfyUnreachable, ComfyWedged)
# Deaths that the same workflow would only cause again, and one that nobody mends.
_FINAL = frozenset({"oom_ram", "oom_vram", "cuda_fault", "disk_full", NOT_BACK})


class ComfyTarget:
    """Any number of threads may run jobs; ComfyUI queues what it cannot run at once."""

    def __init__(self, instance: Instance, cleaner: Cleaner, limits: RunLimits, max_attempts: int) -> None:
        self._instance = instance
        self._cleaner = cleaner
        self._limits = limits
        self._max_attempts = max_attempts

    def run(
        self,
        request: RunRequest,
        workdir: Path,
        emit: Emit,
        cancel: CancelToken,
        *,
        leash: Leash | None = None,
        max_attempts: int | None = None,
    ) -> RunOutcome:
        """Run one job to its outputs in `workdir`. Raises a WorkerError when nothing was produced; Recalled."""
        self._cleaner.await_gone(request.folder)
        attempts = Attempts(self._instance, self._limits, request, workdir, emit, leash or Leash(cancel))
        try:
            return self._run(attempts, max_attempts or self._max_attempts)
        except WorkerError as error:
            if cancel.is_set() and error is not cancel.reason:
                raise cancel.reason from error
            raise
        finally:
            left = request.folder, tuple(attempts.prompt_ids), attempts.previews
            request.afterwards(functools.partial(self._cleaner.forget, *left))

    def _run(self, attempts: Attempts, max_attempts: int) -> RunOutcome:
        lost = 0
        stale: frozenset[str] = frozenset()
        while True:
            started_at = time.time()
            try:
                return attempts.run(stale)
            except StaleOutput as output:
                # ComfyUI served a cached result whose file somebody has deleted: have just that node run again.
                if output.node_id in stale:
                    raise output.error from output
                stale |= {output.node_id}
            except _LOSSES as error:
                lost += 1
                reason = self._reason(error, started_at, attempts.last_node)
                if attempts.executed or lost >= max_attempts or not may_run_again(reason):
                    raise reason from error
                log.warning("Run lost, running again", reason=reason.message, attempt=lost)

    def _reason(self, error: WorkerError, started_at: float, last_node: str | None) -> WorkerError:
        """Why the run was lost. Raises `error` when ComfyUI is stuck and not ours to restart."""
        if not isinstance(error, ComfyWedged):
            reason = self._instance.autopsy(error, started_at, last_node)
            if reason is error and isinstance(error, ComfyUnreachable):
                self._instance.restart(started_at)  # it lives and answers nothing: the next job shall find another
            return reason
        if not self._instance.restart(started_at):
            raise error
        return error


def may_run_again(reason: WorkerError) -> bool:
    """Whether a run that was lost for this reason may come to a better end on a second try."""
    if isinstance(reason, ComfyUnreachable):
        return False  # its grace is over, and nobody restarts it
    return reason.retryable and not any(detail.get("code") in _FINAL for detail in reason.details)
