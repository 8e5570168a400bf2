"""Words of a caller (file names, texts, messages a node raises with) are no evidence against ComfyUI or its GPU."""

import pytest

from api.comfyui.crash import START_MARK, CrashKind, ExitRecord, examine, has_end_mark, last_life, to_error
from api.comfyui.failure import NodeFailure
from api.errors import CudaFault, ExecutionFailed

CALL = ['  File "/comfyui/nodes.py", line 5, in f\n    return torch.mm(a, b)\n           ^^^^^^^^^^^^^^\n']
RAISE = ['  File "/comfyui/custom_nodes/x.py", line 5, in f\n    raise RuntimeError(text)\n']
DIED = ExitRecord(exit_code=1, at=1000.0)


def failure(message: str, traceback: list[str] | None = None) -> type:
    data = {"exception_type": "RuntimeError", "exception_message": f"{message}\n", "traceback": traceback}
    return type(NodeFailure.of(data).error())


@pytest.mark.parametrize("traceback", [CALL, None, [], [5], 7])
def test_a_fault_of_the_gpu_is_believed(traceback: list[str] | None):
    assert failure("CUDA error: device-side assert triggered", traceback) is CudaFault


@pytest.mark.parametrize(
    ("message", "traceback"),
    [
        ("CUDA error: device-side assert triggered", RAISE),  # a node that raises with the caller's text
        ("[Errno 2] No such file or directory: 'CUDA error: device-side assert.png'", CALL),
        ("Cannot open CUDA error: illegal memory access", None),
        ("Prompt 'CUBLAS_STATUS_EXECUTION_FAILED' is too long", None),
        ("line\nCUDA error: x", None),
    ],
)
def test_words_that_only_look_like_one_are_not(message: str, traceback: list[str] | None):
    assert failure(message, traceback) is ExecutionFailed


@pytest.mark.parametrize(
    "line",
    [
        "Saved /comfyui/output/CUDA error: device-side assert.png",
        "Loading torch.OutOfMemoryError: x.safetensors",
        "prompt: Exception in thread Thread-1 (prompt_worker):",
        "Exception in thread Thread-1 (prompt_worker):",
        "file No space left on device.png",
        "it says Segmentation fault and MemoryError",
    ],
)
def test_lines_that_quote_a_caller_do_not_explain_a_death(line: str):
    assert examine(f"got prompt\n{line}\nbye\n", DIED).kind is CrashKind.UNKNOWN


@pytest.mark.parametrize("text", [f"saved {START_MARK}", "saved [start.sh] ComfyUI ended with exit code 1"])
def test_marks_of_start_sh_count_only_where_a_line_begins(text: str):
    log = f"{START_MARK}: main.py\nfirst\n{text}\nsecond\n"
    assert "first" in last_life(log, latest=True)
    assert not has_end_mark(log)


def test_log_lines_stay_out_of_errors_when_they_may_be_others():
    log = "torch.OutOfMemoryError: secret prompt\nsomebody's prompt\n"
    quoted, silent = to_error(examine(log, DIED)), to_error(examine(log, DIED, quote=False))
    assert "secret prompt" in quoted.message and quoted.details[0]["log_tail"]
    assert (type(silent), silent.details[0]["code"]) == (type(quoted), "oom_vram")
    assert "prompt" not in f"{silent.message}{silent.details}"
