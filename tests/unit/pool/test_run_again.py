"""Which lost runs are worth a second one."""

import pytest

from api.comfyui.crash import CrashKind, CrashReport, to_error
from api.errors import (
    ComfyDied,
    ComfyNotStarted,
    ComfyUnreachable,
    ComfyWedged,
    ExecutionFailed,
    PromptLost,
    WorkerError,
)
from api.pool.target import may_run_again


@pytest.mark.parametrize(
    ("reason", "again"),
    [
        (PromptLost("its history was cleared"), True),
        (ComfyDied("seen from outside"), True),
        (ComfyWedged("its worker thread is dead"), True),
        (ComfyUnreachable("its grace is over"), False),
        (ComfyNotStarted("start.sh gave up"), True),
        (ExecutionFailed("a node raised"), False),
    ],
)
def test_reasons(reason: WorkerError, again: bool):
    assert may_run_again(reason) is again


@pytest.mark.parametrize(
    ("kind", "again"),
    [
        (CrashKind.KILLED, True),
        (CrashKind.SEGFAULT, True),
        (CrashKind.UNKNOWN, True),
        (CrashKind.OOM_RAM, False),
        (CrashKind.OOM_VRAM, False),
        (CrashKind.CUDA_FAULT, False),
        (CrashKind.DISK_FULL, False),
    ],
)
def test_deaths_the_same_workflow_would_only_cause_again(kind: CrashKind, again: bool):
    assert may_run_again(to_error(CrashReport(kind, "ComfyUI died.", "Do something."))) is again
