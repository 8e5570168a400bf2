"""A ComfyUI that fails: each time the right result or a clear error, and no prompt runs twice without need."""

import json
import threading
import time
from collections.abc import Callable

import pytest
import requests
from support.prompts import Run, inverts, new_id, picture, run
from support.standin_process import StandinProcess
from support.waiting import wait_for
from support.wire_tap import WireTap

from api.comfyui.client import ComfyClient
from api.comfyui.events import LookNow, NodeExecuting, PromptAccepted, PromptWaiting
from api.comfyui.history import Verdict
from api.comfyui.limits import RunLimits
from api.comfyui.run import End
from api.errors import (
    ComfyDied,
    ComfyProtocolError,
    ComfyUnreachable,
    ComfyWedged,
    ExecutionFailed,
    OutOfVram,
    PromptLost,
)

IMPATIENT = RunLimits(outage_grace_s=1.0, stop_grace_s=1.0)


def seen_to_be_away(job: Run) -> None:
    """Until a look of the run has failed: it comes with the loss of the socket, and takes three tries."""
    job.wait_for_a(LookNow)
    threading.Event().wait(1.0)


def prompts_taken(standin: StandinProcess, before: int = 0) -> int:
    """How many prompts it has ever queued: the number of the next one tells."""
    answer = requests.post(f"{standin.url}/prompt", json={"prompt": picture(), "client_id": "counter"}, timeout=10)
    return int(answer.json()["number"]) - before


@pytest.mark.parametrize("late_ms", [5, 50, 300, 1500])
def test_pitfall_1_a_late_history_is_waited_for(standin: StandinProcess, connect: Callable, late_ms: int):
    client, stream = connect(standin.url)
    standin.set_fault("late_history", late_ms)
    assert len(run(client, stream, picture()).entry.files()) == 1


def test_pitfall_2_a_prompt_is_never_taken_for_lost_while_it_finishes(standin: StandinProcess, connect: Callable):
    """Without a socket only look-ups follow the prompt, at every phase of its end."""
    client, stream = connect(standin.url)
    stream.close()
    for delay_ms in range(0, 60, 7):
        standin.set_fault("slow_execute", 100 + delay_ms)
        assert len(run(client, stream, picture()).entry.files()) == 1


def test_a_lost_history_is_a_lost_prompt(standin: StandinProcess, connect: Callable):
    client, stream = connect(standin.url)
    standin.set_fault("lose_history", 1)
    with pytest.raises(PromptLost, match="history was cleared"):
        run(client, stream, picture())


def test_a_lost_history_behind_a_socket_that_dropped_is_no_death(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    mortal.set_fault("slow_execute", 150)
    mortal.set_fault("drop_socket_after", 5)
    mortal.set_fault("lose_history", 1)
    with pytest.raises(PromptLost, match="or its history was cleared"):
        run(client, stream, picture())
    assert stream.losses >= 1


def test_killed_while_the_prompt_waits_it_is_lost_and_did_no_harm(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    mortal.set_fault("slow_execute", 300)
    running = Run(client, stream, picture())
    running.wait_for_a(NodeExecuting)
    waiting = Run(client, stream, picture())
    waiting.wait_for_a(PromptWaiting)
    mortal.kill()
    seen_to_be_away(running)
    mortal.start()
    with pytest.raises(ComfyDied):
        running.end()
    with pytest.raises(PromptLost, match="restarted"):
        waiting.end()


@pytest.mark.parametrize("fault", ["accept_then_500", "drop_prompt_answer"])
def test_a_lost_answer_to_a_prompt_does_not_run_it_twice(mortal: StandinProcess, connect: Callable, fault: str):
    client, stream = connect(mortal.url)
    before = prompts_taken(mortal)
    mortal.set_fault(fault, 1)
    events: list = []
    assert len(run(client, stream, picture(), events=events).entry.files()) == 1
    assert PromptAccepted(None) in events
    assert prompts_taken(mortal, before) == 2, "ours and the one that counts"


@pytest.mark.parametrize("fault", ["http_500", "http_hang"])
def test_a_prompt_that_never_got_in_is_posted_again(mortal: StandinProcess, connect: Callable, fault: str):
    client, stream = connect(mortal.url, read_timeout_s=1)
    before = prompts_taken(mortal)
    with WireTap(mortal.url) as tap:
        client, stream = connect(tap.url, read_timeout_s=1)
        stream.ensure_connected(10)
        mortal.set_fault(fault, "/prompt:1")
        assert len(run(client, stream, picture()).entry.files()) == 1
        assert len(tap.requests("POST /prompt")) == 2
        stream.close()
        client.close()
    assert prompts_taken(mortal, before) == 2


def test_pitfall_13_prompts_refused_with_500_for_ever(standin: StandinProcess, connect: Callable):
    client, stream = connect(standin.url)
    standin.set_fault("http_500", "/prompt")
    with pytest.raises(ComfyProtocolError, match="POST /prompt with 500"):
        run(client, stream, picture())


@pytest.mark.parametrize("endpoint", ["/queue:4", "/history:4", "/ws:2"])
def test_some_500s_on_the_way(standin: StandinProcess, connect: Callable, endpoint: str):
    client, stream = connect(standin.url)
    standin.set_fault("slow_execute", 300)
    standin.set_fault("http_500", endpoint)
    assert len(run(client, stream, picture()).entry.files()) == 1


@pytest.mark.parametrize("endpoint", ["/queue", "/history"])
def test_500s_for_ever_end_in_a_clear_error(standin: StandinProcess, connect: Callable, endpoint: str):
    client, stream = connect(standin.url)
    stream.close()
    standin.set_fault("http_500", endpoint)
    with pytest.raises(ComfyProtocolError, match=endpoint):
        run(client, stream, picture(), limits=IMPATIENT)


@pytest.mark.parametrize("endpoint", ["/queue:1", "/history:1"])
def test_a_hanging_look_up(standin: StandinProcess, connect: Callable, endpoint: str):
    client, stream = connect(standin.url)
    standin.set_fault("slow_execute", 400)
    standin.set_fault("http_hang", endpoint)
    limits = RunLimits(probe_timeout_s=1)
    assert len(run(client, stream, picture(), limits=limits).entry.files()) == 1


def test_look_ups_that_hang_for_ever(standin: StandinProcess, connect: Callable):
    client, stream = connect(standin.url)
    standin.set_fault("http_hang", "/history")
    with pytest.raises(ComfyUnreachable, match="timed out"):
        run(client, stream, picture(), limits=RunLimits(probe_timeout_s=0.3, outage_grace_s=0.5))


@pytest.mark.parametrize("fault", ["kill_before", "kill_during", "kill_after"])
def test_pitfall_11_killed_and_restarted(mortal: StandinProcess, connect: Callable, fault: str):
    """A restart is invisible: no event, no trace of the prompt. It is lost as soon as ComfyUI is back."""
    client, stream = connect(mortal.url)
    mortal.set_fault("slow_execute", 100)
    mortal.set_fault(fault, 2 if fault == "kill_during" else True)
    job = Run(client, stream, picture())
    mortal.wait_exit(15)
    if fault != "kill_before":
        seen_to_be_away(job)
    mortal.start()
    if fault == "kill_before":
        assert len(job.end().entry.files()) == 1, "never accepted, so posted again"
    else:
        with pytest.raises(ComfyDied, match="ended while"):
            job.end()
    assert len(run(client, stream, picture()).entry.files()) == 1


@pytest.mark.parametrize("fault", ["kill_before", "kill_during", "kill_after"])
def test_killed_for_good(mortal: StandinProcess, connect: Callable, fault: str):
    client, stream = connect(mortal.url)
    mortal.set_fault(fault, 1 if fault == "kill_during" else True)
    with pytest.raises(ComfyUnreachable, match="No connection"):
        run(client, stream, picture(), limits=IMPATIENT)


def test_nobody_listens_when_the_job_comes(connect: Callable):
    with StandinProcess() as gone:
        url = gone.url
    client, stream = connect(url)
    with pytest.raises(ComfyUnreachable):
        run(client, stream, picture(), limits=IMPATIENT)


def test_a_comfyui_that_is_still_starting(connect: Callable):
    with StandinProcess() as standin:
        standin.kill()
        client, stream = connect(standin.url)
        job = Run(client, stream, picture())
        standin.start()
        assert len(job.end().entry.files()) == 1


def test_pitfall_23_a_stall_of_the_whole_process_is_no_alarm(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    mortal.set_fault("slow_execute", 300)
    job = Run(client, stream, picture())
    job.wait_for_a(NodeExecuting)
    mortal.set_fault("freeze", 1.5)
    assert len(job.end().entry.files()) == 1
    assert stream.losses == 0


def test_pitfall_12_a_dead_worker_thread_is_found_out(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    mortal.set_fault("dead_worker", 1)
    limits = RunLimits(stall_s=1.5)
    with pytest.raises(ComfyWedged):
        run(client, stream, picture(), limits=limits)
    with pytest.raises(ComfyWedged):
        run(client, stream, picture(), limits=limits)


def test_a_long_silent_node_is_no_stall(standin: StandinProcess, connect: Callable):
    client, stream = connect(standin.url)
    standin.set_fault("slow_execute", 800)
    assert len(run(client, stream, picture(), limits=RunLimits(stall_s=0.3)).entry.files()) == 1


def test_an_interrupt_that_is_ignored(mortal: StandinProcess, connect: Callable):
    """The caller is told, and may end the process."""
    client, stream = connect(mortal.url)
    mortal.set_fault("slow_execute", 500)
    mortal.set_fault("ignore_interrupt")
    job = Run(client, stream, inverts(8), limits=IMPATIENT)
    job.wait_for_a(NodeExecuting)
    job.cancel.cancel()
    end = job.end(15)
    assert (end.end, end.stop_ignored) == (End.CANCELLED, True)


def test_pitfall_10_a_lost_interrupt_is_repeated(mortal: StandinProcess, connect: Callable):
    with WireTap(mortal.url) as tap:
        client, stream = connect(tap.url)
        mortal.set_fault("slow_execute", 300)
        mortal.set_fault("ignore_interrupt")
        job = Run(client, stream, inverts())
        job.wait_for_a(NodeExecuting)
        job.cancel.cancel()
        wait_for(lambda: tap.requests("POST /interrupt"), "the first interrupt")
        mortal.set_fault("ignore_interrupt", None)
        end = job.end(15)
        assert (end.end, end.stop_ignored) == (End.CANCELLED, False)
        assert len(tap.requests("POST /interrupt")) > 1
        stream.close()
        client.close()


def test_a_result_that_was_quicker_than_the_time_limit_is_kept(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    mortal.set_fault("slow_execute", 400)
    mortal.set_fault("ignore_interrupt")
    end = run(client, stream, picture(), limits=RunLimits(timeout_s=0.3))
    assert end.end is End.FINISHED
    assert end.entry.verdict is Verdict.SUCCESS


def test_cancel_while_comfyui_is_down(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    mortal.set_fault("slow_execute", 500)
    job = Run(client, stream, inverts(), limits=RunLimits(stop_grace_s=0.5))
    job.wait_for_a(NodeExecuting)
    mortal.kill()
    job.cancel.cancel()
    end = job.end(15)
    assert (end.end, end.stop_ignored) == (End.CANCELLED, False), "the queue died with it"


def test_cancel_while_comfyui_hangs(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url, read_timeout_s=0.5)
    mortal.set_fault("slow_execute", 500)
    job = Run(client, stream, inverts(), limits=RunLimits(stop_grace_s=0.5, probe_timeout_s=0.5))
    job.wait_for_a(NodeExecuting)
    mortal.set_fault("http_hang", "/queue")
    job.cancel.cancel()
    end = job.end(30)
    assert (end.end, end.stop_ignored) == (End.CANCELLED, True)


def test_cancel_while_the_submit_waits_for_comfyui(connect: Callable):
    with StandinProcess() as gone:
        url = gone.url
    client, stream = connect(url)
    job = Run(client, stream, picture())
    job.cancel.cancel()
    assert job.end(5).end is End.CANCELLED


@pytest.mark.parametrize(("fault", "error"), [("oom", OutOfVram), ("disk_full", ExecutionFailed)])
def test_failing_nodes(standin: StandinProcess, connect: Callable, fault: str, error: type):
    client, stream = connect(standin.url)
    standin.set_fault(fault, 1)
    entry = run(client, stream, picture()).entry
    assert type(entry.error()) is error
    assert str(standin.directory) not in json.dumps([entry.error().message, entry.error().details])


def test_truncated_and_missing_outputs(standin: StandinProcess, connect: Callable):
    client, stream = connect(standin.url)
    (file,) = run(client, stream, picture()).entry.files()
    standin.set_fault("truncate_view", "50:1")
    with pytest.raises(ComfyUnreachable, match="missing"), client.view(file.filename, file.subfolder) as output:
        list(output.chunks())
    with client.view(file.filename, file.subfolder) as output:
        assert len(b"".join(output.chunks())) == output.size_bytes


def test_one_that_waits_behind_a_dead_worker_is_told(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    mortal.set_fault("dead_worker", 1)
    client.submit(json.dumps({"prompt": picture(), "prompt_id": new_id()}).encode())
    job = Run(client, stream, picture(), limits=RunLimits(stall_s=1.5))
    job.wait_for_a(PromptWaiting)
    with pytest.raises(ComfyWedged):
        job.end()


def test_a_client_that_is_closed_keeps_no_connection(standin: StandinProcess):
    client = ComfyClient(standin.url)
    client.queue_remaining()
    client.close()
    client.queue_remaining()  # opens one for the request, and closes it
    begun = time.monotonic()
    client.close()
    assert time.monotonic() - begun < 1
