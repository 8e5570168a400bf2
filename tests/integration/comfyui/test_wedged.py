"""A ComfyUI that runs nothing any more, and ones that only look like it."""

import time
from collections.abc import Callable

import pytest
from support.prompts import Run, inverts, new_id, node, picture, run
from support.standin_process import StandinProcess
from support.waiting import wait_for

from api.comfyui.client import ComfyClient
from api.comfyui.events import ExecutionStarted, NodeExecuting
from api.comfyui.limits import RunLimits
from api.comfyui.lookup import Place, locate
from api.comfyui.run import End
from api.comfyui.stream import ComfyStream
from api.comfyui.submit import PromptBody
from api.comfyui.worker_thread import WorkerThread
from api.errors import ComfyWedged

QUICK = RunLimits(stall_s=0.9, poll_s=0.3, poll_lively_s=0.3)


def seen(standin: StandinProcess, client: ComfyClient, stream: ComfyStream) -> WorkerThread:
    """The worker thread of a stand-in whose process can be seen, told from others that happened to move with it."""
    worker = WorkerThread(lambda: standin.pid)
    worker.meet(client.queue_remaining)
    for _ in range(3):
        run(client, stream, picture(), limits=QUICK, worker=worker)
    return worker


def test_a_silent_end_of_the_worker_is_found_out(mortal: StandinProcess, connect: Callable):
    """A SystemExit in a node ends ComfyUI's worker thread without a line in the log."""
    client, stream = connect(mortal.url)
    worker = seen(mortal, client, stream)
    mortal.set_fault("silent_death", 1)
    begun = time.monotonic()
    with pytest.raises(ComfyWedged, match="without a word"):
        run(client, stream, picture(), limits=QUICK, worker=worker)
    assert time.monotonic() - begun < 8
    with pytest.raises(ComfyWedged):
        run(client, stream, picture(), limits=QUICK, worker=worker)


def test_a_silent_node_is_not_declared_dead(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    worker = seen(mortal, client, stream)
    mortal.set_fault("silent_node", 4)
    assert len(run(client, stream, picture(), limits=QUICK, worker=worker).entry.files()) == 1


def test_a_silent_node_that_cannot_be_seen_is_not_declared_dead(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    mortal.set_fault("silent_node", 3)
    assert len(run(client, stream, picture(), limits=QUICK).entry.files()) == 1


def test_where_nothing_can_be_seen_there_may_be_a_limit(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    mortal.set_fault("silent_death", 1)
    limits = RunLimits(stall_s=5, poll_s=0.3, poll_lively_s=0.3, silence_limit_s=1)
    with pytest.raises(ComfyWedged, match="COMFY_SILENCE_LIMIT_S"):
        run(client, stream, picture(), limits=limits)


def test_the_limit_is_for_the_running_prompt_not_for_one_that_waits(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    mortal.set_fault("silent_node", 3)
    first = Run(client, stream, picture())
    first.wait_for_a(NodeExecuting)
    limits = RunLimits(poll_s=0.3, poll_lively_s=0.3, silence_limit_s=1)
    assert len(run(client, stream, picture(), limits=limits).entry.files()) == 1
    first.end()


FORGED = (
    "Exception in thread Thread-1 (prompt_worker):",
    'Exception in thread Thread-1 (prompt_worker):\nTraceback (most recent call last):\n  File "main.py", line 1\n',
    '  File "/comfyui/main.py", line 1, in prompt_worker',
)


@pytest.mark.parametrize("text", FORGED)
def test_what_a_caller_writes_into_the_log_wedges_nothing(mortal: StandinProcess, connect: Callable, text: str):
    client, stream = connect(mortal.url)
    failing = picture()
    failing["3"] = node("StandinFail", image=["1", 0], message=text)
    failing["4"] = node("SaveImage", images=["3", 0], filename_prefix="x")
    run(client, stream, failing)
    assert any("prompt_worker" in write for write in client.logs())
    mortal.set_fault("silent_node", 2)
    assert len(run(client, stream, picture(), limits=QUICK).entry.files()) == 1


def test_a_defect_of_the_listener_leaves_no_prompt_running(standin: StandinProcess, connect: Callable):
    client, stream = connect(standin.url)
    standin.set_fault("slow_execute", 300)
    prompt_id = new_id()

    def raise_it(event: object) -> None:
        if isinstance(event, ExecutionStarted):
            raise ZeroDivisionError

    class Listener(list):
        append = staticmethod(raise_it)

    with pytest.raises(ZeroDivisionError):
        run(client, stream, inverts(), prompt_id=prompt_id, events=Listener())
    assert locate(client, prompt_id).place is Place.ABSENT


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_that_dies_is_not_taken_for_a_connection(standin: StandinProcess, connect: Callable):
    client, stream = connect(standin.url)
    assert stream.ensure_connected(10)

    def defect(_event: object) -> None:
        raise ZeroDivisionError

    with stream.subscribe(prompt_id := new_id()) as mailbox:
        mailbox.put = defect
        client.submit(PromptBody(picture()).encode(prompt_id, stream.client_id))
        wait_for(lambda: not stream.connected, "the end of the reader")
    assert stream.ensure_connected(10), "another reader takes its place"
    assert len(run(client, stream, picture()).entry.files()) == 1


def test_a_time_limit_counts_from_the_start_of_the_execution(standin: StandinProcess, connect: Callable):
    client, stream = connect(standin.url)
    standin.set_fault("slow_execute", 400)
    first = Run(client, stream, inverts(2))
    first.wait_for_a(NodeExecuting)
    standin.set_fault("slow_execute", None)
    end = run(client, stream, picture(), limits=RunLimits(timeout_s=0.5))
    assert end.end is End.FINISHED
    first.end()


def test_a_failure_that_was_quicker_than_the_time_limit_is_kept(mortal: StandinProcess, connect: Callable):
    client, stream = connect(mortal.url)
    mortal.set_fault("silent_node", 1)
    mortal.set_fault("oom", 1)
    end = run(client, stream, picture(), limits=RunLimits(timeout_s=0.5))
    assert end.end is End.FINISHED
    assert end.entry.error()
