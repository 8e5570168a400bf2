"""start.sh on real processes: signals, restarts, a ComfyUI that never comes up, and nothing left behind."""

import contextlib
import os
import pwd
import random
import re
import signal
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from support.start_script import StartScript
from support.waiting import wait_for

from api.comfyui.crash import CrashKind, to_error
from api.comfyui.process import ComfyProcess
from api.errors import ComfyDied, ComfyNotStarted

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(sys.platform != "linux", reason="start.sh is for Linux")]

NOBODY = pwd.getpwnam("nobody").pw_uid
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="what root must not do shows as root only")


def nothing_left(script: StartScript) -> bool:
    return script.processes() == [] and script.comfyui_pid() is None


def up(script: StartScript, *, life: int = 1) -> int:
    """Pid of a ComfyUI that answers, once start.sh knows it too."""
    wait_for(lambda: script.output.count("ComfyUI answers on port") >= life, "ComfyUI to be up")
    return wait_for(script.comfyui_pid, "the pid file")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_handler_whose_status_is_returned(tmp_path: Path, number: signal.Signals) -> None:
    with StartScript(tmp_path, COMFY_STANDIN="true", FAKE_HANDLER_EXIT="7") as script:
        script.handler()
        wait_for(script.object_info, "the stand-in")

        script.signal(number)

        assert script.status() == 7
        assert f"handler got {number.name}" in script.output
        assert "ComfyUI is still there: True" in script.output
        assert nothing_left(script)
        assert "STAND-IN" in script.output


def test_the_handlers_own_end_ends_everything(tmp_path: Path) -> None:
    with StartScript(tmp_path, FAKE_HANDLER="ends", FAKE_HANDLER_EXIT="3") as script:
        assert script.status() == 3
        assert nothing_left(script)


def test_arguments_and_environment_reach_both_sides(tmp_path: Path) -> None:
    script = StartScript(tmp_path, COMFY_ARGS="--lowvram --note 'two words' $HOME", COMFY_LOG_LEVEL="INFO")
    script.arguments = ["--test_input", '{"input": {}}']
    with script:
        facts = script.handler()
        up(script)

        assert facts["argv"] == ["--test_input", '{"input": {}}']
        assert facts["cwd"] == str(script.worker_root)
        assert facts["comfy_host"] == f"127.0.0.1:{script.port}"
        assert facts["ld_preload"] is None
        assert facts["supervised"]
        assert facts["default_int"]
        expected = ["--disable-auto-launch", "--port", str(script.port), "--verbose", "INFO", "--log-stdout"]
        expected += ["--lowvram", "--note", "two words", "$HOME"]
        assert str(expected) in script.output
        script.signal(signal.SIGTERM)
        assert script.status() == 0


@pytest.mark.parametrize(
    ("environment", "listens", "arguments"),
    [
        ({"SERVE_API_LOCALLY": "true"}, True, ["--rp_serve_api", "--rp_api_host=0.0.0.0"]),
        ({"HTTP_API_MODE": "true"}, True, []),
        ({"HTTP_API_MODE": "true", "COMFY_LISTEN": "false"}, False, []),
        ({}, False, []),
    ],
)
def test_modes(tmp_path: Path, environment: dict[str, str], listens: bool, arguments: list[str]) -> None:
    with StartScript(tmp_path, **environment) as script:
        assert script.handler()["argv"] == arguments
        up(script)
        assert ("--listen" in script.output) is listens


def test_a_killed_comfyui_is_restarted_and_its_end_written_down(tmp_path: Path) -> None:
    with StartScript(tmp_path, COMFY_STANDIN="true") as script:
        first = up(script)
        wait_for(script.object_info, "the stand-in")

        os.kill(first, signal.SIGKILL)

        second = up(script, life=2)
        wait_for(script.object_info, "the stand-in again")
        ended = script.exit_file()
        assert (ended["pid"], ended["exit_code"], ended["signal"]) == (first, None, 9)
        assert (ended["came_up"], ended["gave_up"], ended["restarts"]) == (True, False, 0)
        assert ended["started_at"] < ended["at"]
        assert {"oom_kill_before", "oom_kill_after"} <= ended.keys()
        report = ComfyProcess.in_dir(script.run_dir).autopsy()
        assert report.kind is CrashKind.KILLED
        assert isinstance(to_error(report), ComfyDied)
        assert any("stand-in" in line for line in report.log_tail)

        assert ComfyProcess.in_dir(script.run_dir).kill()
        wait_for(lambda: script.comfyui_pid() not in {None, second}, "a third ComfyUI")
        wait_for(lambda: script.exit_file()["restarts"] == 1, "the second end")


def test_a_child_that_holds_the_port_goes_with_its_comfyui(tmp_path: Path) -> None:
    with StartScript(tmp_path, FAKE_COMFYUI="forks") as script:
        first = up(script)

        os.kill(first, signal.SIGKILL)

        wait_for(lambda: script.comfyui_pid() not in {None, first}, "another ComfyUI")
        assert script.exit_file()["reason"] == ""
        script.signal(signal.SIGTERM)
        assert script.status() == 0
        assert nothing_left(script)


def test_one_that_never_comes_up_is_given_up_with_the_reason(tmp_path: Path) -> None:
    with StartScript(tmp_path, FAKE_COMFYUI="import_error") as script:
        process = ComfyProcess.in_dir(script.run_dir)
        wait_for(process.gave_up, "start.sh to give up")

        report = process.autopsy()
        error = to_error(report)

        assert script.output.count("fake ComfyUI: import_error") == 3
        assert report.kind is CrashKind.IMPORT_ERROR
        assert report.exit_code == 1
        assert isinstance(error, ComfyNotStarted)
        assert "torchsde" in error.message
        script.signal(signal.SIGTERM)
        assert script.status() == 0
        assert nothing_left(script)


def test_one_that_hangs_while_starting_is_ended(tmp_path: Path) -> None:
    environment = {"COMFY_START_TIMEOUT_S": "1.0", "COMFY_MAX_FAILED_STARTS": "1"}
    with StartScript(tmp_path, FAKE_COMFYUI="hang", **environment) as script:
        process = ComfyProcess.in_dir(script.run_dir)
        wait_for(process.gave_up, "start.sh to give up")

        assert process.autopsy().kind is CrashKind.START_TIMEOUT


def test_restarts_can_be_limited(tmp_path: Path) -> None:
    with StartScript(tmp_path, COMFY_MAX_RESTARTS="1") as script:
        process = ComfyProcess.in_dir(script.run_dir)
        for life in (1, 2):
            os.kill(up(script, life=life), signal.SIGKILL)
            wait_for(lambda: not process.alive(), "its end")
            wait_for(lambda: process.alive() or process.gave_up(), "another one or the verdict")

        assert process.gave_up()
        assert script.exit_file()["restarts"] == 1


def test_a_taken_port_is_told_without_starting(tmp_path: Path) -> None:
    script = StartScript(tmp_path, COMFY_MAX_FAILED_STARTS="1")
    with StartScript(make(tmp_path / "other"), COMFY_PORT=str(script.port)) as other:
        other.port = script.port
        up(other)
        with script:
            process = ComfyProcess.in_dir(script.run_dir)
            wait_for(process.gave_up, "start.sh to give up")

            assert process.autopsy().kind is CrashKind.PORT_IN_USE
            assert "fake ComfyUI" not in script.output


def test_a_second_signal_ends_everything_at_once(tmp_path: Path) -> None:
    environment = {"FAKE_HANDLER": "ignores", "FAKE_COMFYUI": "ignores_term", "COMFY_STOP_GRACE_S": "60"}
    with StartScript(tmp_path, **environment) as script:
        script.handler()
        up(script)
        script.signal(signal.SIGTERM)
        wait_for(lambda: "handler got SIGTERM" in script.output, "the first signal to arrive")

        script.signal(signal.SIGTERM)

        assert script.status() == 128 + signal.SIGKILL
        assert nothing_left(script)


def test_a_signal_in_the_middle_of_the_start_is_not_lost(tmp_path: Path) -> None:
    with StartScript(tmp_path) as script:
        wait_for(script.comfyui_pid, "the pid file")

        script.signal(signal.SIGTERM)

        assert script.status() in {0, 128 + signal.SIGTERM}  # the handler's own, or it had not yet a say in it
        assert nothing_left(script)


def test_a_comfyui_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    environment = {"FAKE_HANDLER": "ends", "FAKE_COMFYUI": "ignores_term", "COMFY_STOP_GRACE_S": "0"}
    with StartScript(tmp_path, **environment) as script:
        assert script.status() == 0
        assert nothing_left(script)


def test_the_log_file_is_limited_and_still_shown(tmp_path: Path) -> None:
    with StartScript(tmp_path, FAKE_COMFYUI="chatty", COMFY_LOG_MAX_BYTES="20000") as script:
        wait_for(lambda: "line 1000 " in script.output, "a thousand lines on stdout", timeout_s=30)

        output = script.output
        sizes = {file.name: file.stat().st_size for file in script.run_dir.glob("comfyui.log*")}
        tail = ComfyProcess.in_dir(script.run_dir).log_tail(100, max_bytes=15_000)
        script.signal(signal.SIGTERM)
        assert script.status() == 0

    assert set(sizes) <= {"comfyui.log", "comfyui.log.1"}
    assert all(size <= 20_000 for size in sizes.values())
    assert len(tail) == 100
    shown = [int(number) for number in re.findall(r"^line (\d+) .*\n", output, re.MULTILINE)]
    assert shown == list(range(len(shown)))


def test_no_gpu_is_told_and_nothing_started(tmp_path: Path) -> None:
    script = StartScript(tmp_path)
    del script.environment["SKIP_GPU_CHECK"]
    fake_torch = make(tmp_path / "site") / "torch.py"
    fake_torch.write_text("class cuda:\n    @staticmethod\n    def init(): raise RuntimeError('No CUDA GPUs')\n")
    script.environment["PYTHONPATH"] = str(fake_torch.parent)
    with script:
        assert script.status() == 1
        assert "No usable GPU: RuntimeError: No CUDA GPUs" in script.output
        assert "SKIP_GPU_CHECK" in script.output
        assert not (script.run_dir / "handler.json").exists()


def test_a_signal_during_the_gpu_check_ends_it(tmp_path: Path) -> None:
    script = StartScript(tmp_path)
    del script.environment["SKIP_GPU_CHECK"]
    fake_torch = make(tmp_path / "site") / "torch.py"
    started = tmp_path / "started"
    fake_torch.write_text(f"import pathlib, signal; pathlib.Path({str(started)!r}).touch(); signal.pause()\n")
    script.environment["PYTHONPATH"] = str(fake_torch.parent)
    with script:
        wait_for(started.exists, "the check to begin")
        script.signal(signal.SIGTERM)
        assert script.status() == 128 + signal.SIGTERM
        wait_for(lambda: nothing_left(script), "the check to be gone")


def test_without_a_comfyui_of_its_own(tmp_path: Path) -> None:
    with StartScript(tmp_path, COMFY_HOST="http://10.1.2.3:8188") as script:
        facts = script.handler()
        assert facts["comfy_host"] == "http://10.1.2.3:8188"
        assert not facts["supervised"]
        script.signal(signal.SIGTERM)
        assert script.status() == 0


def test_an_earlier_runs_files_are_not_taken_for_this_ones(tmp_path: Path) -> None:
    script = StartScript(tmp_path, COMFY_START="false")
    (script.run_dir / "comfyui.pid").write_text("1")
    (script.run_dir / "comfyui.exit").write_text("{}")
    with script:
        assert not script.handler()["supervised"]


def test_the_run_folder_is_made_for_this_user_to_write(tmp_path: Path) -> None:
    run_dir = tmp_path / "new" / "run"
    with StartScript(tmp_path, COMFY_RUN_DIR=str(run_dir), FAKE_HANDLER="ends") as script:
        assert script.status() == 0
    assert run_dir.stat().st_mode & 0o777 == 0o755


def test_a_run_folder_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    script = StartScript(tmp_path)
    script.run_dir.chmod(0o1777)
    with script:
        assert script.status() == 1
    assert "everybody can write there: name a folder of your own" in script.output


@as_root
@pytest.mark.parametrize("what", ["folder", "link"])
def test_a_run_folder_of_somebody_else_is_refused(tmp_path: Path, what: str) -> None:
    script = StartScript(tmp_path)
    file = script.run_dir / "comfyui.log"
    file.write_text("precious")
    if what == "folder":
        os.chown(script.run_dir, NOBODY, NOBODY)
    else:
        link = tmp_path / "link"
        link.symlink_to(script.run_dir)
        os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
        script.environment["COMFY_RUN_DIR"] = str(link)
    with script:
        assert script.status() == 1
    assert "belongs to another user" in script.output
    assert file.read_text() == "precious"


@as_root
def test_root_looks_nothing_up_in_the_folders_of_others(tmp_path: Path) -> None:
    folder = make(tmp_path / "planted")
    for name in ("bash", "cat", "dirname", "env", "head", "readlink", "rm", "sed", "setsid", "stat", "tee", "timeout"):
        (folder / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran-{name}\n")
        (folder / name).chmod(0o755)
    script = StartScript(tmp_path)
    script.environment["PATH"] = f"{folder}:{script.environment['PATH']}"
    with script:
        assert script.handler()["path"] == script.environment["PATH"]
        up(script)
        script.signal(signal.SIGTERM)
        assert script.status() == 0
    assert list(tmp_path.glob("ran-*")) == []


@as_root
def test_the_gpu_is_looked_at_as_the_user_comfyui_runs_as(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="start-sh-") as open_to_all:
        probe = Path(open_to_all) / "python"
        probe.write_text('#!/bin/sh\necho "uid $(id -u) in $HOME"\n')
        for path in (probe.parent, probe):
            path.chmod(0o755)
        script = StartScript(tmp_path, COMFY_PYTHON=str(probe), RUN_AS_USER="nobody")
        del script.environment["SKIP_GPU_CHECK"]
        with script:
            wait_for(lambda: "GPU: " in script.output, "the verdict on the GPU")
    assert f"GPU: uid {NOBODY} in /nonexistent" in script.output


def in_a_row(script: StartScript, count: int) -> StartScript:
    """With ports that are free one after the other: below those the system gives out."""
    for first in random.sample(range(10_000, 30_000, 10), 1000):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            script.port = first
            script.environment["COMFY_PORT"] = str(first)
            return script
    raise AssertionError("no free ports")


def run_dir_of(script: StartScript, number: int) -> Path:
    return script.run_dir / str(script.port + number)


def test_several_are_started_each_restarted_on_its_own_and_all_are_ended(tmp_path: Path) -> None:
    environment = {"COMFY_STANDIN": "true", "COMFY_INSTANCES": "3", "FAKE_HANDLER_EXIT": "7"}
    with in_a_row(StartScript(tmp_path, **environment), 3) as script:
        hosts = ",".join(f"127.0.0.1:{script.port + number}" for number in range(3))
        assert script.handler()["comfy_host"] == hosts
        processes = [ComfyProcess.in_dir(run_dir_of(script, number)) for number in range(3)]
        wait_for(lambda: script.output.count("ComfyUI answers on port") == 3, "all of them", timeout_s=30)
        before = [process.pid() for process in processes]
        assert None not in before and len(set(before)) == 3

        os.kill(before[1], signal.SIGKILL)  # type: ignore[arg-type]

        wait_for(lambda: processes[1].pid() not in {None, before[1]}, "another one")
        wait_for(lambda: script.output.count("ComfyUI answers on port") == 4, "it to be up")
        assert [processes[0].pid(), processes[2].pid()] == [before[0], before[2]]
        record = processes[1].last_exit()
        assert record is not None and record.signal == signal.SIGKILL
        assert processes[0].last_exit() is None
        script.signal(signal.SIGTERM)
        assert script.status() == 7
        assert script.processes() == []
        assert [process.pid() for process in processes] == [None] * 3


def test_each_of_several_has_a_gpu_of_its_own(tmp_path: Path) -> None:
    environment = {"COMFY_INSTANCES": "auto", "CUDA_VISIBLE_DEVICES": "0,3"}
    script = in_a_row(StartScript(tmp_path, **environment), 2)
    script.environment["COMFY_ARGS"] = f"--port {script.port} --lowvram"
    with script:
        script.handler()
        wait_for(lambda: script.output.count("fake ComfyUI") == 2, "both of them")
        seen = {}
        for number in range(2):
            pid = wait_for(ComfyProcess.in_dir(run_dir_of(script, number)).pid, "its pid")
            told = dict(
                line.split("=", 1) for line in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in line
            )
            seen[number] = told["CUDA_VISIBLE_DEVICES"]
            arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            assert arguments[arguments.index("--temp-directory") + 1] == str(run_dir_of(script, number))
            assert arguments.count("--port") == 1 and "--lowvram" in arguments
        assert seen == {0: "0", 1: "3"}


@as_root
def test_each_of_several_can_write_its_previews() -> None:
    """Also as a user that may not write to the run folder."""
    with tempfile.TemporaryDirectory(prefix="start-sh-") as open_to_all:
        probe = Path(open_to_all) / "python"
        find = 'while [ "$1" != --temp-directory ]; do shift; done'
        probe.write_text(f'#!/bin/sh\n{find}\ntouch "$2/temp/x" && echo "uid $(id -u) can write"\n')
        # This Python may lie where only its owner looks.
        handler = Path(open_to_all) / "handler"
        handler.write_text("#!/bin/sh\nexec sleep 100\n")
        for path in (probe.parent, probe, handler):
            path.chmod(0o755)
        environment = {"COMFY_PYTHON": str(probe), "WORKER_PYTHON": str(handler), "RUN_AS_USER": "nobody"}
        with in_a_row(StartScript(Path(open_to_all), COMFY_INSTANCES="2", **environment), 2) as script:
            wait_for(lambda: script.output.count(f"uid {NOBODY} can write") >= 2, "both of them")


def test_a_second_signal_ends_several_at_once(tmp_path: Path) -> None:
    environment = {"FAKE_HANDLER": "ignores", "FAKE_COMFYUI": "ignores_term", "COMFY_STOP_GRACE_S": "60"}
    with in_a_row(StartScript(tmp_path, COMFY_INSTANCES="2", **environment), 2) as script:
        script.handler()
        wait_for(lambda: script.output.count("ComfyUI answers on port") == 2, "both of them", timeout_s=30)
        script.signal(signal.SIGTERM)
        wait_for(lambda: "handler got SIGTERM" in script.output, "the first signal to arrive")
        script.signal(signal.SIGTERM)
        assert script.status() == 128 + signal.SIGKILL
        assert script.processes() == []


def test_a_number_of_instances_that_is_none_is_told(tmp_path: Path) -> None:
    with StartScript(tmp_path, COMFY_INSTANCES="many") as script:
        assert script.status() == 1
        assert "COMFY_INSTANCES=many is neither auto nor a number" in script.output


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder
