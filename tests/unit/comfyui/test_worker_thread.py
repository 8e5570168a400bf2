"""Whether a process still has its worker thread, told from outside: a real process with threads on command."""

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from support.waiting import wait_for

from api.comfyui.worker_thread import WorkerThread

# Threads by name: "start a" makes one, "end a" ends it with a SystemExit, "wake a" has it move and wait again.
PROGRAM = """
import queue, sys, threading
orders = {}
def work(name):
    while (order := orders[name].get()) == "wake":
        print("ok", flush=True)
    raise SystemExit
for line in sys.stdin:
    order, name = line.split()
    if order == "start":
        orders[name] = queue.Queue()
        threading.Thread(target=work, args=(name,), name=name).start()
        while not orders[name].not_empty._waiters:
            pass
        print("ok", flush=True)
    elif order == "end":
        orders[name].put("end")
        next(t for t in threading.enumerate() if t.name == name).join()
        print("ok", flush=True)
    else:
        orders[name].put("wake")
"""


class Process:
    """`say("start worker")` returns when it is done."""

    def __init__(self) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def say(self, order: str) -> None:
        assert self.child.stdin and self.child.stdout
        self.child.stdin.write(f"{order}\n")
        self.child.stdin.flush()
        assert self.child.stdout.readline() == "ok\n"

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()


@pytest.fixture
def process() -> Iterator[Process]:
    process = Process()
    yield process
    process.kill()
    assert process.child.stdin and process.child.stdout
    process.child.stdin.close()
    process.child.stdout.close()


@pytest.fixture
def worker(process: Process) -> WorkerThread:
    return WorkerThread(lambda: process.child.pid)


def settle(worker: WorkerThread) -> None:
    """Until no thread moves: one that was just started still does."""
    pause = threading.Event()
    looks = [worker.before_run()]

    def still() -> bool:
        pause.wait(0.1)
        looks.append(worker.before_run())
        return looks[-1] == looks[-2]

    wait_for(still, "all threads to wait")


def test_a_worker_that_ended_silently(process: Process, worker: WorkerThread):
    process.say("start worker")
    worker.meet(lambda: None)
    assert not worker.is_gone() and not worker.is_alive(), "it may have been dead when it was met"
    before = worker.before_run()
    process.say("wake worker")
    worker.after_run(before)
    assert worker.is_alive() and not worker.is_gone()
    process.say("end worker")
    wait_for(worker.is_gone, "the thread to have ended")
    assert not worker.is_alive()


def test_threads_started_later_hide_nothing(process: Process, worker: WorkerThread):
    process.say("start worker")
    worker.meet(lambda: None)
    process.say("start pool")
    process.say("end worker")
    wait_for(worker.is_gone, "the thread to have ended")


def test_a_silent_worker_is_there_however_long_it_sleeps(process: Process, worker: WorkerThread):
    process.say("start worker")
    process.say("start other")
    worker.meet(lambda: None)
    process.say("end other")
    assert not worker.is_gone()


def test_what_does_not_move_while_a_prompt_runs_is_not_the_worker(process: Process, worker: WorkerThread):
    process.say("start worker")
    process.say("start idle")
    worker.meet(lambda: None)
    assert not worker.is_alive(), "either may be it"
    settle(worker)
    before = worker.before_run()
    process.say("wake worker")
    worker.after_run(before)
    assert worker.is_alive()
    assert worker.before_run() is None, "nothing left to learn"
    process.say("end worker")
    wait_for(worker.is_gone, "its end to be seen, though the idle one lives")


def test_the_first_prompt_may_be_the_one_that_ends_it(process: Process, worker: WorkerThread):
    process.say("start worker")
    process.say("start idle")
    worker.meet(lambda: None)
    settle(worker)
    before = worker.before_run()
    process.say("wake worker")
    process.say("end worker")
    worker.after_start(before)
    wait_for(worker.is_gone, "the thread to have ended")
    assert not worker.is_alive()


def test_the_last_thread_left_is_not_therefore_the_worker(process: Process, worker: WorkerThread):
    process.say("start worker")
    process.say("start other")
    worker.meet(lambda: None)
    process.say("end worker")
    assert not worker.is_gone() and not worker.is_alive()


def test_a_comfyui_that_runs_prompts_in_new_threads_is_left_alone(process: Process, worker: WorkerThread):
    process.say("start a")
    process.say("start b")
    worker.meet(lambda: None)
    settle(worker)
    worker.after_run(worker.before_run())
    process.say("end a")
    process.say("end b")
    settle(worker)
    assert not worker.is_gone()


def test_a_process_nobody_has_met_tells_nothing(process: Process, worker: WorkerThread):
    assert not worker.is_gone() and not worker.is_alive()
    assert not WorkerThread(lambda: None).is_gone()


def test_a_process_that_does_not_answer_is_not_met(process: Process, worker: WorkerThread):
    """While it starts its worker does not exist yet."""

    def ask() -> None:
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        worker.meet(ask)
    assert not worker.is_gone()


def test_a_dead_process_has_no_dead_worker(process: Process, worker: WorkerThread):
    process.say("start worker")
    worker.meet(lambda: None)
    process.kill()
    assert not worker.is_gone() and not worker.is_alive()


def test_another_process_is_another_worker(process: Process):
    pids = [process.child.pid]
    worker = WorkerThread(lambda: pids[-1])
    process.say("start worker")
    worker.meet(lambda: None)
    second = Process()
    try:
        pids.append(second.child.pid)
        assert not worker.is_gone() and not worker.is_alive()
        second.say("start worker")
        worker.meet(lambda: None)
        second.say("end worker")
        wait_for(worker.is_gone, "the thread to have ended")
    finally:
        second.kill()
        assert second.child.stdin and second.child.stdout
        second.child.stdin.close()
        second.child.stdout.close()
