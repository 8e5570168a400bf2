"""Why a ComfyUI died: told from its exit and its log, and the files start.sh keeps."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import wait_for

from api.comfyui.crash import CrashKind, ExitRecord, examine, last_life, to_error
from api.comfyui.log_lines import readable_lines
from api.comfyui.process import ComfyProcess, exit_record, process_alive
from api.errors import ComfyDied, ComfyNotStarted, ComfyWedged, CudaFault, OutOfVram
from api.masking import mask

STARTED = """\
[start.sh] Starting ComfyUI: /opt/comfyui-venv/bin/python -u main.py --disable-auto-launch --port 8188
Total VRAM 24090 MB, total RAM 64200 MB
pytorch version: 2.11.0+cu128
Set vram state to: NORMAL_VRAM
Device: cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync
ComfyUI version: 0.29.0
"""
UP = (
    STARTED
    + """\
Import times for custom nodes:
   0.0 seconds: /comfyui/custom_nodes/websocket_image_save.py
Starting server

To see the GUI go to: http://127.0.0.1:8188
got prompt
"""
)
TRACEBACK = """\
Traceback (most recent call last):
  File "/comfyui/main.py", line 150, in <module>
    import execution
"""


def died(**fields: object) -> ExitRecord:
    return exit_record({"exit_code": None, "signal": None, "came_up": True, "at": 1000.0, **fields})


CASES = [
    pytest.param(
        STARTED + TRACEBACK + "ModuleNotFoundError: No module named 'comfyui_frontend_package'\n",
        died(exit_code=1, came_up=False),
        CrashKind.IMPORT_ERROR,
        "comfyui_frontend_package",
        id="missing module at start",
    ),
    pytest.param(
        STARTED + "ImportError: libGL.so.1: cannot open shared object file: No such file or directory\n",
        died(exit_code=1, came_up=False),
        CrashKind.IMPORT_ERROR,
        "libGL.so.1",
        id="missing library at start",
    ),
    pytest.param(
        STARTED + "   1.2 seconds (IMPORT FAILED): /comfyui/custom_nodes/ComfyUI-Broken\n",
        died(exit_code=1, came_up=False),
        CrashKind.IMPORT_ERROR,
        "ComfyUI-Broken",
        id="custom node",
    ),
    pytest.param(
        STARTED + "usage: main.py [-h]\nmain.py: error: unrecognized arguments: --lowvarm\n",
        died(exit_code=2, came_up=False),
        CrashKind.BAD_ARGUMENTS,
        "--lowvarm",
        id="argument",
    ),
    pytest.param(
        STARTED
        + TRACEBACK
        + "OSError: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8188): address already in use\n",
        died(exit_code=1, came_up=False),
        CrashKind.PORT_IN_USE,
        "8188",
        id="port, by the log",
    ),
    pytest.param(
        "",
        died(reason="port_in_use", came_up=False),
        CrashKind.PORT_IN_USE,
        "not started",
        id="port, by start.sh",
    ),
    pytest.param(
        STARTED,
        died(signal=15, reason="start_timeout", came_up=False),
        CrashKind.START_TIMEOUT,
        "did not open its port",
        id="start timeout",
    ),
    pytest.param(
        STARTED
        + TRACEBACK
        + "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU\n",
        died(exit_code=1, came_up=False),
        CrashKind.CUDA_FAULT,
        "NVIDIA driver",
        id="no driver",
    ),
    pytest.param(
        UP
        + "!!! Exception during processing !!! CUDA error: device-side assert triggered\n"
        + "terminate called after throwing an instance of 'c10::Error'\n"
        + "  what():  CUDA error: device-side assert triggered\n",
        died(signal=6),
        CrashKind.CUDA_FAULT,
        "device-side assert",
        id="device-side assert",
    ),
    pytest.param(
        UP + "RuntimeError: CUDA error: no kernel image is available for execution on the device\n",
        died(exit_code=1),
        CrashKind.CUDA_FAULT,
        "no kernel image",
        id="no kernel image",
    ),
    pytest.param(
        UP + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 12.00 GiB. GPU 0 has a total capacity\n",
        died(exit_code=1),
        CrashKind.OOM_VRAM,
        "12.00 GiB",
        id="VRAM",
    ),
    pytest.param(UP, died(signal=9, oom_kill_before=3, oom_kill_after=4), CrashKind.OOM_RAM, "RAM", id="cgroup kill"),
    pytest.param(
        UP + "terminate called after throwing an instance of 'std::bad_alloc'\n",
        died(signal=6),
        CrashKind.OOM_RAM,
        "bad_alloc",
        id="bad_alloc",
    ),
    pytest.param(
        UP + "numpy._core._exceptions._ArrayMemoryError\nMemoryError\n",
        died(exit_code=1),
        CrashKind.OOM_RAM,
        "MemoryError",
        id="MemoryError",
    ),
    pytest.param(UP + "Killed\n", died(signal=9), CrashKind.OOM_RAM, "RAM", id="Killed, without a counter"),
    pytest.param(UP, died(signal=9, oom_kill_before=4, oom_kill_after=4), CrashKind.KILLED, "SIGKILL", id="SIGKILL"),
    pytest.param(UP, died(signal=15), CrashKind.KILLED, "SIGTERM", id="SIGTERM"),
    pytest.param(UP, died(signal=11), CrashKind.SEGFAULT, "SIGSEGV", id="SIGSEGV"),
    pytest.param(
        UP + "Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f (most recent call first):\n",
        died(signal=11),
        CrashKind.SEGFAULT,
        "Segmentation fault",
        id="SIGSEGV with faulthandler",
    ),
    pytest.param(
        UP + "OSError: [Errno 28] No space left on device: '/comfyui/output/x.png'\n",
        died(exit_code=1),
        CrashKind.DISK_FULL,
        "No space left",
        id="disk",
    ),
    pytest.param(UP + "bye\n", died(exit_code=3), CrashKind.UNKNOWN, "exit code 3", id="unknown"),
    pytest.param(UP, None, CrashKind.UNKNOWN, "gone", id="no record"),
    pytest.param(
        UP + "ModuleNotFoundError: No module named 'cv2'\nbye\n",
        died(exit_code=1),
        CrashKind.UNKNOWN,
        "exit code 1",
        id="a custom node's failed import does not explain a death after the start",
    ),
    pytest.param(
        UP + "torch.OutOfMemoryError: Allocation on device\nGot an OOM, unloading all loaded models.\ngot prompt\n",
        died(signal=11),
        CrashKind.SEGFAULT,
        "native code",
        id="an earlier, survived shortage does not explain a crash",
    ),
]


@pytest.mark.parametrize(("log", "record", "kind", "said"), CASES)
def test_a_death_is_explained(log: str, record: ExitRecord | None, kind: CrashKind, said: str) -> None:
    report = examine(log, record)

    assert report.kind is kind
    assert said in report.sentence
    assert report.advice


def test_a_dead_worker_thread_in_a_living_process_is_wedged() -> None:
    log = UP + 'Exception in thread Thread-1 (prompt_worker):\nTraceback (most recent call last):\n  File "x.py"\n'

    report = examine(log, None, running=True)

    assert report.kind is CrashKind.WEDGED_WORKER
    assert isinstance(to_error(report), ComfyWedged)
    assert "runs but does not work" in report.sentence


def test_errors_carry_kind_tail_and_advice() -> None:
    report = examine(UP + "bye\n", died(exit_code=3), last_node="17", tail_lines=2)

    error = to_error(report)

    assert isinstance(error, ComfyDied)
    assert error.details == [
        {"code": "unknown", "message": report.sentence, "log_tail": ["got prompt", "bye"], "node_id": "17"}
    ]
    assert report.sentence in error.message
    assert report.advice in error.message


@pytest.mark.parametrize(
    ("report", "error_class"),
    [
        (examine("torch.OutOfMemoryError: Allocation on device", died(exit_code=1)), OutOfVram),
        (examine("CUDA error: an illegal memory access was encountered", died(signal=6)), CudaFault),
        (examine("RuntimeError: Found no NVIDIA driver", died(exit_code=1, came_up=False)), CudaFault),
        (examine("ImportError: x", died(exit_code=1, came_up=False)), ComfyNotStarted),
        (examine("", died(signal=9)), ComfyDied),
    ],
)
def test_kinds_become_errors(report, error_class) -> None:
    assert type(to_error(report)) is error_class


def test_the_caller_may_know_better_whether_it_ever_came_up() -> None:
    report = examine(STARTED, None, running=True)

    assert type(to_error(report, never_up=True)) is ComfyNotStarted


def test_the_log_is_divided_into_lives() -> None:
    log = STARTED + "first\n" + STARTED + "second\n"

    assert "first" not in last_life(log, latest=True)
    assert "second" in last_life(log, latest=True)
    assert "first" in last_life(log, latest=False)
    assert "second" not in last_life(log, latest=False)
    assert last_life("no marks", latest=True) == "no marks"
    assert last_life("the end of one\n" + STARTED, latest=False) == "the end of one\n"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcDEF123456", "abcDEF123456"),
        ("headers={'Authorization': 'Token 0123456789abcdef'}", "0123456789abcdef"),
        ("GET https://b.s3.amazonaws.com/k.png?X-Amz-Signature=0a1b2c3d&X-Amz-Expires=60", "0a1b2c3d"),
        ("using https://user:hunter22@example.com/x", "hunter22"),
        ("api_key_comfy_org=comfyui-0123456789abcdef0123456789abcdef", "0123456789abcdef"),
        ("HF_TOKEN='hf_abcdefghijklmnopqrstuv'", "hf_abcdef"),
        ("login with hf_abcdefghijklmnopqrstuv now", "hf_abcdef"),
        ("'password': 'correct horse'", "correct"),
        ("AWS key AKIAIOSFODNN7EXAMPLE used", "AKIAIOSFODNN7EXAMPLE"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "eyJzdWIi"),
        ("image: data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==", "iVBORw0"),
        ("blob " + "QUJD" * 60, "QUJDQUJD"),
    ],
)
def test_secrets_do_not_leave(text: str, secret: str) -> None:
    assert secret not in mask(text)


def test_ordinary_lines_stay_as_they_are() -> None:
    text = (
        "max_tokens: 4096 tokenizer=CLIPTokenizer comfyui-workflow-templates\nRequested to load SDXL\n"
        "loaded completely 9.5e+25 1639.406135559082 True\n/comfyui/output/a_00001_.png"
    )

    assert mask(text) == text


def test_a_progress_bar_is_shown_as_it_ended() -> None:
    assert readable_lines("\x1b[32mhi\x1b[0m\n 0%|   | 0/2\r 50%|# | 1/2\r100%|##| 2/2\n\n") == ["hi", "100%|##| 2/2"]


def test_a_long_line_is_cut() -> None:
    assert len(readable_lines("word " * 1000)[0]) == 400


# ------------------------------------------------------------------------------------------- files and processes


@pytest.fixture
def process(tmp_path: Path) -> ComfyProcess:
    return ComfyProcess.in_dir(tmp_path)


def write_exit(folder: Path, **fields: object) -> None:
    (folder / "comfyui.exit").write_text(json.dumps({"pid": 1, "exit_code": 1, "signal": None, "at": 1000.5, **fields}))


def test_without_files_nothing_is_known(process: ComfyProcess) -> None:
    assert not process.supervised()
    assert process.alive() is None
    assert process.pid() is None
    assert process.started_at() is None
    assert process.last_exit() is None
    assert not process.gave_up()
    assert not process.kill()
    assert process.log_tail() == []
    assert process.autopsy().kind is CrashKind.UNKNOWN


def test_a_living_process(process: ComfyProcess, tmp_path: Path) -> None:
    (tmp_path / "comfyui.pid").write_text(f"{os.getpid()}\n")

    assert process.supervised()
    assert process.alive() is True
    assert process.started_at() == pytest.approx((tmp_path / "comfyui.pid").stat().st_mtime)


def test_between_two_lives_it_is_supervised_but_dead(process: ComfyProcess, tmp_path: Path) -> None:
    write_exit(tmp_path, came_up=False, gave_up=False)

    assert process.alive() is False
    assert not process.gave_up()

    write_exit(tmp_path, came_up=False, gave_up=True)

    assert process.gave_up()


def test_a_zombie_is_not_alive(process: ComfyProcess, tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    (tmp_path / "comfyui.pid").write_text(str(child.pid))
    try:
        wait_for(lambda: process.alive() is False, "the child to become a zombie")
        assert Path(f"/proc/{child.pid}").exists()
    finally:
        child.wait()
    assert not process_alive(child.pid)


def test_kill_ends_one_that_ignores_sigterm(process: ComfyProcess, tmp_path: Path) -> None:
    code = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    (tmp_path / "comfyui.pid").write_text(str(child.pid))

    assert process.kill(grace_s=0.1)

    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    assert process.kill()  # gone already


def test_the_tail_reaches_into_the_file_before(process: ComfyProcess, tmp_path: Path) -> None:
    (tmp_path / "comfyui.log.1").write_text("one\ntwo\n")
    (tmp_path / "comfyui.log").write_text("three\n")

    assert process.log_tail(2) == ["two", "three"]
    assert process.log_tail(0) == []
    assert process.log_tail(5, max_bytes=6) == ["three"]


def test_an_autopsy_reads_the_dead_one_although_another_runs(process: ComfyProcess, tmp_path: Path) -> None:
    write_exit(tmp_path, exit_code=None, signal=6, came_up=True)
    (tmp_path / "comfyui.pid").write_text(str(os.getpid()))
    (tmp_path / "comfyui.log").write_text(
        UP + "what():  CUDA error: device-side assert triggered\n"
        "[start.sh] ComfyUI ended by signal 6 (SIGABRT) after 90 s; next start in 1 s.\n" + UP
    )

    report = process.autopsy(since=1000.0, last_node="3")

    assert report.kind is CrashKind.CUDA_FAULT
    assert report.signal == 6
    assert report.at == 1000.5
    assert report.last_node == "3"
    assert report.log_tail[-1].startswith("[start.sh] ComfyUI ended by signal 6")


def test_an_autopsy_waits_for_the_last_words(process: ComfyProcess, tmp_path: Path) -> None:
    write_exit(tmp_path, exit_code=1, came_up=False)
    (tmp_path / "comfyui.log").write_text(STARTED)
    last_words = "ImportError: libcudnn\n[start.sh] ComfyUI ended with exit code 1 after 2 s; next start in 1 s.\n"
    code = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "comfyui.log"), last_words]):
        report = process.autopsy()

    assert report.kind is CrashKind.IMPORT_ERROR


def test_an_autopsy_leaves_out_deaths_before_its_time(process: ComfyProcess, tmp_path: Path) -> None:
    write_exit(tmp_path, exit_code=None, signal=6)
    (tmp_path / "comfyui.pid").write_text(str(os.getpid()))
    (tmp_path / "comfyui.log").write_text(
        UP + "Exception in thread Thread-1 (prompt_worker):\nTraceback (most recent call last):\n"
    )

    report = process.autopsy(since=2000.0)

    assert report.kind is CrashKind.WEDGED_WORKER
    assert report.running


def test_an_autopsy_waits_until_the_end_is_written_down(process: ComfyProcess, tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    (tmp_path / "comfyui.pid").write_text(str(child.pid))
    code = (
        "import pathlib, sys; f = pathlib.Path(sys.argv[1]);"
        '(f / "comfyui.exit").write_text(\'{"exit_code": 2, "came_up": false}\'); (f / "comfyui.pid").unlink()'
    )
    supervisor = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])

    report = process.autopsy("main.py: error: unrecognized arguments: --x\n")

    supervisor.wait()
    assert report.kind is CrashKind.BAD_ARGUMENTS
    assert report.exit_code == 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"exit_code": "x", "signal": true, "at": null, "reason": null}'])
def test_a_damaged_exit_file_is_no_reason_to_fail(process: ComfyProcess, tmp_path: Path, text: str) -> None:
    (tmp_path / "comfyui.exit").write_text(text)

    record = process.last_exit()

    assert record is None or record == ExitRecord()
