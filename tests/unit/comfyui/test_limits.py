"""Outages and stop signals."""

import threading
import time

import pytest

from api.comfyui.limits import Outage, StopReason, StopSignal
from api.errors import ComfyUnreachable
from api.jobs.cancel import CancelToken


def test_pitfall_23_one_or_two_missed_requests_are_no_outage():
    outage = Outage(grace_s=0)
    for _ in range(2):
        outage.note(ComfyUnreachable("stalled"))
    outage.end()
    for _ in range(2):
        outage.note(ComfyUnreachable("stalled"))
    assert outage.ever
    with pytest.raises(ComfyUnreachable):
        outage.note(ComfyUnreachable("down"))


def test_an_outage_lasts_its_grace():
    outage = Outage(grace_s=60)
    for _ in range(100):
        outage.note(ComfyUnreachable("down"))


def test_a_cancel_ends_the_wait():
    token = CancelToken()
    signal = StopSignal(token, None)
    assert signal.reason is None and not signal.wait(0)
    threading.Thread(target=token.cancel).start()
    assert signal.wait(30)
    assert signal.reason is StopReason.CANCELLED


def test_a_cancel_before():
    token = CancelToken()
    token.cancel()
    assert StopSignal(token, None).reason is StopReason.CANCELLED


def test_the_time_limit_ends_the_wait():
    signal = StopSignal(CancelToken(), 0.05)
    assert not signal.wait(0.1), "it counts from the beginning of the execution"
    begun = time.monotonic()
    signal.begin()
    assert signal.wait(30)
    assert signal.reason is StopReason.TIMED_OUT
    assert time.monotonic() - begun < 5
