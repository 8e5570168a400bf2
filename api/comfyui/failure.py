"""What went wrong in a node, and which kind of error that is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import CudaFault, Detail, ExecutionFailed, OutOfVram
from .wording import presentable

# Only as a message begins: what stands later may be a file name or a text of the caller.
_OUT_OF_VRAM = re.compile(
    r"(?:(?:CUDA|HIP|cuDNN) error: )?(?:(?:CUDA|HIP|MPS backend|XPU) out of memory|out of memory\b"
    r"|Allocation on device\b|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED)",
    re.IGNORECASE,
)
# After one of these every later CUDA call of the process fails too, or the GPU cannot run this torch at all.
_CUDA_FAULT = re.compile(
    r"(?:CUDA|HIP|cuDNN) (?:driver )?error\b|Triton Error \[|cudaError\w+: "
    r"|\[ONNXRuntimeError\] [^\n]{0,40}CUDA failure"
    r"|CUBLAS_STATUS_|CUDNN_STATUS_|device-side assert|an illegal memory access|unspecified launch failure"
    r"|no kernel image|No CUDA GPUs are available|Found no NVIDIA driver",
    re.IGNORECASE,
)
# They are raised by compiled code: then the innermost line of Python is a call.
_RAISED_BY_PYTHON = re.compile(r"\n\s+raise\b[^\n]*\n(?:[\s^~]*\n)?\Z")
_OOM_TYPES = ("OutOfMemoryError",)  # torch.OutOfMemoryError, torch.cuda.OutOfMemoryError


@dataclass(frozen=True, slots=True)
class NodeFailure:
    """The exception of a node. Its traceback and inputs, which carry paths and prompts, are left behind."""

    node_id: str
    node_type: str
    exception_type: str
    message: str
    raised_by_python: bool = False

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "NodeFailure":
        """From the data of an `execution_error` message. Its exception_message always ends with a newline."""
        return cls(
            node_id=str(data.get("node_id") or ""),
            node_type=str(data.get("node_type") or ""),
            exception_type=str(data.get("exception_type") or ""),
            message=presentable(str(data.get("exception_message") or "")),
            raised_by_python=_raised_by_python(data.get("traceback")),
        )

    def error(self) -> ExecutionFailed:
        """OutOfVram, CudaFault or plain ExecutionFailed."""
        kind = self._kind()
        place = f"node {self.node_id} ({self.node_type})" if self.node_id else "a node"
        what = ": ".join(part for part in (self.exception_type, self.message) if part) or "no message"
        detail = Detail(node_id=self.node_id, class_type=self.node_type, code=self.exception_type, message=self.message)
        return kind(f"{_OPENING[kind]} in {place}: {what}", [detail])

    def _kind(self) -> type[ExecutionFailed]:
        if self.exception_type.rpartition(".")[2] in _OOM_TYPES or _OUT_OF_VRAM.match(self.message):
            return OutOfVram
        if _CUDA_FAULT.match(self.message) and not self.raised_by_python:
            return CudaFault
        return ExecutionFailed


def _raised_by_python(traceback: Any) -> bool:
    innermost = traceback[-1] if isinstance(traceback, list) and traceback else ""
    return isinstance(innermost, str) and _RAISED_BY_PYTHON.search(innermost) is not None


_OPENING: Mapping[type[ExecutionFailed], str] = {
    OutOfVram: "The GPU ran out of memory",
    CudaFault: "The GPU failed",
    ExecutionFailed: "The workflow failed",
}
