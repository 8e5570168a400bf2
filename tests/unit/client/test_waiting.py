"""Why a job waits, said beside "waiting"."""

import io
import threading
from collections.abc import Callable

from support.waiting import wait_for

from api.client_jobs import Event
from api.client_terminal import ProgressLine, explaining

WAITING = Event("snapshot", {"status": "pending", "position": 2})
PAUSED = "The queue is paused."


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def answering(answers: list[str | None], asked: threading.Event) -> Callable[[], str | None]:
    def ask() -> str | None:
        if len(answers) == 1:
            asked.set()
            return answers[0]
        return answers.pop(0)

    return ask


def test_the_reason_stands_beside_it_and_is_looked_at_again():
    stream, asked = io.StringIO(), threading.Event()
    line = ProgressLine(stream)
    line.show(WAITING)
    with explaining(line, answering([PAUSED, None, PAUSED, "It is next in line."], asked), 0.03, 0.03):
        assert asked.wait(5)
        wait_for(lambda: "next" in stream.getvalue(), "the second reason")
    told = ["waiting, 2 ahead", f"waiting: {PAUSED}", "waiting: It is next in line."]
    assert stream.getvalue().splitlines() == told


def test_a_job_that_runs_is_not_asked_about():
    stream, asked = io.StringIO(), threading.Event()
    line = ProgressLine(stream)
    line.show(WAITING)
    line.show(Event("started", {}))
    with explaining(line, answering([PAUSED], asked), 0.03, 0.03):
        assert not asked.wait(0.2)
    line.explain(PAUSED)
    assert stream.getvalue().splitlines() == ["waiting, 2 ahead", "running"]


def test_on_a_terminal_a_long_reason_is_not_cut_off():
    stream = Terminal()
    line = ProgressLine(stream, clock=lambda: 0.0)
    line.show(WAITING)
    line.explain("long " * 100)
    line.explain("long " * 100)
    line.done()
    assert stream.getvalue().count("long " * 100) == 1
    assert stream.getvalue().endswith("\r\x1b[Kwaiting    0 s\n")


def test_nothing_is_said_once_the_line_is_left():
    stream = io.StringIO()
    line = ProgressLine(stream)
    line.show(WAITING)
    line.done()
    line.explain(PAUSED)
    assert stream.getvalue() == "waiting, 2 ahead\n"
