"""The mailbox keeps what matters when its follower is slow."""

import threading
import time

from api.comfyui.events import (
    ExecutionStarted,
    Hint,
    HintKind,
    LookNow,
    NodeExecuting,
    Preview,
    Progress,
    ProgressState,
)
from api.comfyui.subscription import Subscription


def preview(number: int) -> Preview:
    return Preview(bytes([number]), "image/png", None)


def test_events_come_in_order_and_once():
    box = Subscription()
    box.put(ExecutionStarted())
    box.put(NodeExecuting("1", "1"))
    assert box.take(0) == [ExecutionStarted(), NodeExecuting("1", "1")]
    assert box.take(0) == []


def test_previews_are_given_up_first_then_old_progress_and_never_hints():
    box = Subscription(capacity=4)
    box.put(preview(1))
    box.put(Progress("1", 1, 9))
    box.put(Hint(HintKind.SUCCEEDED))
    box.put(Progress("1", 2, 9))
    box.put(Progress("1", 3, 9))
    box.put(Hint(HintKind.ENDED))
    box.put(LookNow(connected=False))
    box.put(NodeExecuting("2", "2"))
    assert box.take(0) == [
        Hint(HintKind.SUCCEEDED),
        Hint(HintKind.ENDED),
        LookNow(connected=False),
        NodeExecuting("2", "2"),
    ]
    assert box.dropped == 4


def test_pitfall_4_a_slow_follower_never_blocks_the_reader():
    box = Subscription(capacity=8)
    for number in range(1000):
        box.put(Hint(HintKind.FAILED) if number == 500 else NodeExecuting(str(number), str(number)))
    events = box.take(0)
    assert len(events) == 8
    assert Hint(HintKind.FAILED) in events


def test_pitfall_24_only_the_newest_progress_state_is_kept():
    box = Subscription()
    for number in range(100):
        box.put(ProgressState(str(number).encode()))
        box.put(NodeExecuting(str(number), str(number)))
    states = [event for event in box.take(0) if isinstance(event, ProgressState)]
    assert states == [ProgressState(b"99")]


def test_only_the_last_previews_are_kept():
    box = Subscription()
    for number in range(50):
        box.put(preview(number))
    assert box.take(0) == [preview(46), preview(47), preview(48), preview(49)]


def test_take_waits_for_the_first_event():
    box = Subscription()
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.extend(box.take(30)))
    thread.start()
    box.put(LookNow(connected=False))
    thread.join(10)
    assert taken == [LookNow(connected=False)]


def test_a_hint_comes_at_once_and_brings_along_what_came_before():
    box = Subscription()
    box.put(ExecutionStarted())
    box.put(Hint(HintKind.ENDED))
    begun = time.monotonic()
    assert box.take(30) == [ExecutionStarted(), Hint(HintKind.ENDED)]
    assert time.monotonic() - begun < 0.015, "no waiting for a batch to fill"


def test_ordinary_events_come_in_batches():
    box = Subscription()
    thread = threading.Thread(target=lambda: [box.put(NodeExecuting(str(n), str(n))) for n in range(100)])
    thread.start()
    taken: list[list[object]] = []
    while sum(map(len, taken)) < 100:
        taken.append(box.take(5))
    thread.join(10)
    assert len(taken) < 10, "not a wake-up for each"


def test_wake_ends_a_wait_and_is_not_lost_when_it_comes_first():
    box = Subscription()
    box.wake()
    assert box.take(30) == []
    thread = threading.Thread(target=box.take, args=(30,))
    thread.start()
    box.wake()
    thread.join(10)
    assert not thread.is_alive()
