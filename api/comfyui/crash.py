"""Why a ComfyUI died, told from how it ended and what it logged. Pure: reads no files, asks no process."""

import re
import signal as signals
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..errors import (
    ComfyDied,
    ComfyNotStarted,
    ComfyWedged,
    CudaFault,
    Detail,
    OutOfVram,
    WorkerError,
)
from .log_lines import readable_lines

# start.sh writes these into ComfyUI's log; they divide it into the lives of successive processes.
START_MARK = "[start.sh] Starting ComfyUI"
_START_MARK = re.compile(rf"^{re.escape(START_MARK)}", re.MULTILINE)
_END_MARK = re.compile(r"^\[start\.sh\] ComfyUI (?:ended|was not started)", re.MULTILINE)
OWN_LINE = "[start.sh]"
_LINES_SEARCHED = 200


class CrashKind(StrEnum):
    """What is wrong with ComfyUI; the `code` of the error's detail."""

    OOM_VRAM = "oom_vram"
    OOM_RAM = "oom_ram"
    CUDA_FAULT = "cuda_fault"
    IMPORT_ERROR = "import_error"
    BAD_ARGUMENTS = "bad_arguments"
    PORT_IN_USE = "port_in_use"
    DISK_FULL = "disk_full"
    SEGFAULT = "segfault"
    WEDGED_WORKER = "wedged_worker"
    START_TIMEOUT = "start_timeout"
    KILLED = "killed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ExitRecord:
    """How a ComfyUI ended, as start.sh wrote it down. Times are epoch seconds."""

    exit_code: int | None = None
    signal: int | None = None
    at: float = 0.0
    started_at: float = 0.0
    pid: int | None = None
    reason: str = ""  # port_in_use, start_timeout: start.sh knows better than the exit code
    came_up: bool = True
    gave_up: bool = False
    oom_kills: int = 0  # by the kernel, in this container, during its life


@dataclass(frozen=True)
class CrashReport:
    """The finding: a kind for machines, a sentence and an advice for people, the log's end as evidence."""

    kind: CrashKind
    sentence: str
    advice: str
    evidence: str = ""
    exit_code: int | None = None
    signal: int | None = None
    at: float | None = None
    came_up: bool = True
    running: bool = False
    last_node: str | None = None
    log_tail: tuple[str, ...] = ()


# A telling text counts where a line begins or behind one of these: in the middle it may be a caller's (a file name).
_LEAD = re.compile(
    r"\s*(?:!!! Exception during processing !!! |terminate called after throwing an instance of '|what\(\):\s*"
    r"|Fatal Python error: |\[enforce fail [^\]]*\][^.]*\.\s*|[\w.]+(?:Error|Exception): )*"
)
_WORKER_END = re.compile(r"Exception in thread Thread-\d+ \(prompt_worker\):$")
_TRACEBACK = "Traceback (most recent call last):"
_SIGNATURES: tuple[tuple[CrashKind, re.Pattern[str]], ...] = (
    (
        CrashKind.OOM_VRAM,
        re.compile(
            r"torch\.(?:cuda\.)?OutOfMemoryError|(?:CUDA|HIP) out of memory|CUDA error: out of memory"
            r"|Allocation on device .*would exceed allowed memory|(?:CUDA error: )?(?:CUBLAS|CUDNN)_STATUS_ALLOC_FAILED"
        ),
    ),
    (
        CrashKind.OOM_RAM,
        re.compile(
            r"(?:[\w.]+\.)?_?(?:Array)?MemoryError\b|std::bad_alloc|DefaultCPUAllocator|Cannot allocate memory"
            r"|\[Errno 12\]|Killed\b|Out of memory: Killed process|oom-kill"
        ),
    ),
    (
        CrashKind.DISK_FULL,
        re.compile(r"No space left on device|Disk quota exceeded|\[Errno (?:28|122)\]|database or disk is full"),
    ),
    (
        CrashKind.CUDA_FAULT,
        re.compile(
            r"CUDA error\b|CUDNN_STATUS_\w+|CUBLAS_STATUS_\w+|cuDNN error: |device-side assert|an illegal memory access"
            r"|unspecified launch failure|misaligned address|no kernel image is available|uncorrectable ECC"
            r"|CUDA driver version is insufficient|The NVIDIA driver on your system is too old|CUDA unknown error"
            r"|Found no NVIDIA driver|No CUDA GPUs are available|Torch not compiled with CUDA enabled"
        ),
    ),
    (CrashKind.PORT_IN_USE, re.compile(r"address already in use|\[Errno 98\]|[Pp]ort \d+ is already in use")),
    (
        CrashKind.BAD_ARGUMENTS,
        re.compile(r"(?:main\.py|__main__\.py|standin): error: |error: unrecognized arguments|error: argument "),
    ),
    (
        CrashKind.IMPORT_ERROR,
        re.compile(
            r"ModuleNotFoundError: |\bImportError: |error while loading shared libraries|IMPORT FAILED|can't open file"
        ),
    ),
    (CrashKind.SEGFAULT, re.compile(r"Segmentation fault|(?:Bus error|Aborted|Illegal instruction)\b")),
)
# Custom nodes that fail to import do not end ComfyUI: these explain a death only before it was up.
_ONLY_WHILE_STARTING = frozenset({CrashKind.PORT_IN_USE, CrashKind.BAD_ARGUMENTS, CrashKind.IMPORT_ERROR})
_NATIVE_CRASHES = frozenset({signals.SIGSEGV, signals.SIGBUS, signals.SIGILL, signals.SIGFPE, signals.SIGABRT})

_CAUSES: dict[CrashKind, tuple[str, str]] = {
    CrashKind.OOM_VRAM: (
        "the GPU ran out of memory",
        "Use a smaller picture, batch or model (fp8, GGUF), start ComfyUI with COMFY_ARGS=--lowvram, or take a GPU "
        "with more memory.",
    ),
    CrashKind.OOM_RAM: (
        "the machine's main memory (RAM) was not enough",
        "Give the container more memory, or use smaller or fewer models; COMFY_ARGS=--disable-smart-memory or "
        "--cache-none keeps less of them in memory.",
    ),
    CrashKind.CUDA_FAULT: (
        "the GPU or its driver failed",
        "The job may be sent again: it needs a fresh worker. When it comes back, check the driver against the image's "
        "CUDA version, and the machine.",
    ),
    CrashKind.IMPORT_ERROR: (
        "a Python module could not be imported",
        "Install it into ComfyUI's venv (comfy-node-install in the Dockerfile does it for a custom node), or take the "
        "custom node out.",
    ),
    CrashKind.BAD_ARGUMENTS: (
        "it does not know one of its arguments",
        "Correct COMFY_ARGS and COMFY_LOG_LEVEL; `python main.py --help` lists what this ComfyUI takes.",
    ),
    CrashKind.PORT_IN_USE: (
        "its port is taken by another process",
        "Stop the other process, or set COMFY_PORT to a free port; to use the ComfyUI that is there set "
        "COMFY_START=false.",
    ),
    CrashKind.DISK_FULL: (
        "the disk is full",
        "Free space where ComfyUI writes (output, temp, user) or give the container a larger disk.",
    ),
    CrashKind.SEGFAULT: (
        "it crashed in native code",
        "When it comes back, the last node or a compiled extension (xformers, sageattention, triton) is the suspect.",
    ),
    CrashKind.WEDGED_WORKER: (
        "its worker thread is gone, so it runs nothing more although it answers",
        "ComfyUI has to be restarted.",
    ),
    CrashKind.START_TIMEOUT: (
        "it did not open its port in time",
        "See the log's end for what it was busy with; COMFY_START_TIMEOUT_S gives it longer.",
    ),
    CrashKind.KILLED: (
        "somebody ended it from outside",
        "If nobody did so on purpose, look whether the machine ran out of memory.",
    ),
    CrashKind.UNKNOWN: (
        "its log does not tell why",
        "Its last log lines may tell more.",
    ),
}


def examine(
    log: str,
    record: ExitRecord | None,
    *,
    running: bool = False,
    last_node: str | None = None,
    tail_lines: int = 30,
    quote: bool = True,
) -> CrashReport:
    """The report on one life of ComfyUI: its own part of the log and, when it has ended, how.

    Without `quote` no line of the log is in it: they may be those of other callers' prompts.
    """
    lines = readable_lines(log)
    kind, evidence = _classify(lines, record, running)
    if not quote:
        evidence, tail_lines = "", 0
    cause, advice = _CAUSES[kind]
    return CrashReport(
        kind=kind,
        sentence=_sentence(cause, evidence, record, running),
        advice=advice,
        evidence=evidence,
        exit_code=record.exit_code if record else None,
        signal=record.signal if record else None,
        at=record.at if record else None,
        came_up=record.came_up if record else True,
        running=running,
        last_node=last_node,
        log_tail=tuple(lines[-tail_lines:]) if tail_lines else (),
    )


def to_error(report: CrashReport, *, never_up: bool | None = None) -> WorkerError:
    """The error a job is answered with. `never_up` overrides what the record says about the port."""
    not_started = not report.came_up if never_up is None else never_up
    by_kind = {
        CrashKind.OOM_VRAM: OutOfVram,
        CrashKind.CUDA_FAULT: CudaFault,
        CrashKind.WEDGED_WORKER: ComfyWedged,
    }
    error: type[WorkerError] = by_kind.get(report.kind, ComfyDied)
    if not_started and error is not CudaFault:
        error = ComfyNotStarted
    message = f"{report.sentence} {report.advice}"
    detail = Detail(code=report.kind.value, message=report.evidence or report.sentence)
    if report.log_tail:
        detail["log_tail"] = list(report.log_tail)
    if report.last_node is not None:
        detail["node_id"] = report.last_node
    return error(message, [detail])


def last_life(log: str, *, latest: bool) -> str:
    """The part of the log that belongs to the latest process; with `latest` False, to the one before it."""
    starts = [match.start() for match in _START_MARK.finditer(log)]
    if not starts:
        return log
    if latest:
        return log[starts[-1] :]
    return log[starts[-2] if len(starts) > 1 else 0 : starts[-1]]


def has_end_mark(life: str) -> bool:
    """Whether the log of this life is complete: start.sh has written its last line."""
    return _END_MARK.search(life) is not None


def _classify(lines: Sequence[str], record: ExitRecord | None, running: bool) -> tuple[CrashKind, str]:
    if record is not None and record.reason in {CrashKind.PORT_IN_USE, CrashKind.START_TIMEOUT}:
        return CrashKind(record.reason), ""
    number = record.signal if record else None
    if number == signals.SIGKILL and record is not None and record.oom_kills > 0:
        return CrashKind.OOM_RAM, "the kernel killed it (cgroup oom_kill)"
    if number in {signals.SIGTERM, signals.SIGINT, signals.SIGHUP}:
        return CrashKind.KILLED, ""
    kind, evidence = _find(lines, starting=record is None or not record.came_up, running=running)
    if number == signals.SIGKILL:
        return (kind, evidence) if kind is CrashKind.OOM_RAM else (CrashKind.KILLED, "")
    if number in _NATIVE_CRASHES and kind not in {CrashKind.OOM_RAM, CrashKind.CUDA_FAULT, CrashKind.SEGFAULT}:
        return CrashKind.SEGFAULT, ""
    return kind, evidence


def _find(lines: Sequence[str], *, starting: bool, running: bool) -> tuple[CrashKind, str]:
    """The latest telling line decides: whatever was said earlier, ComfyUI survived it."""
    for at in range(len(lines) - 1, max(-1, len(lines) - 1 - _LINES_SEARCHED), -1):
        line = lines[at]
        if line.startswith(OWN_LINE):
            continue
        if _WORKER_END.match(line) and lines[at + 1 : at + 2] == [_TRACEBACK]:
            return CrashKind.WEDGED_WORKER, line
        kind = _kind_told(line, starting=starting and not running)
        if kind is not None:
            return kind, line.strip()
    return CrashKind.UNKNOWN, ""


def _kind_told(line: str, *, starting: bool) -> CrashKind | None:
    lead = _LEAD.match(line)
    for kind, pattern in _SIGNATURES:
        if kind in _ONLY_WHILE_STARTING:
            told = starting and pattern.search(line)  # no caller can have written anything yet
        else:
            told = pattern.match(line) or pattern.match(line, lead.end() if lead else 0)
        if told:
            return kind
    return None


def _sentence(cause: str, evidence: str, record: ExitRecord | None, running: bool) -> str:
    if running:
        how = "ComfyUI runs but does not work"
    elif record is None:
        how = "ComfyUI is gone"
    elif record.signal is not None:
        how = f"ComfyUI was ended by {_signal_name(record.signal)}"
    elif record.exit_code is not None:
        how = f"ComfyUI ended with exit code {record.exit_code}"
    else:
        how = "ComfyUI was not started"
    if record is not None and not running and not record.came_up and record.reason == "":
        how += " before it was up"
    quoted = f" ({evidence[:200]})" if evidence else ""
    return f"{how}: {cause}{quoted}."


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"
