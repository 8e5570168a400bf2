"""The hub: order, what is remembered, and readers that are slow, gone or of a loop that is closed."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from api.ids import JobId
from api.jobs.hub import EventHub, Subscription
from api.jobs.updates import Kind, Update

A, B = JobId("a"), JobId("b")


@pytest.fixture
def hub() -> EventHub:
    return EventHub(lambda: 1000.0)


def in_loop(work: Callable[[], Any]) -> Any:
    async def inside() -> Any:
        return work()

    return asyncio.run(inside())


def taken(reader: Subscription) -> list[Update]:
    updates = []
    while (update := reader.take()) is not None:
        updates.append(update)
    return updates


def progress(hub: EventHub, job_id: JobId, count: int) -> None:
    for number in range(count):
        hub.publish(job_id, Kind.PROGRESS, {"percent": number})


def test_a_reader_gets_the_updates_of_its_job_in_order(hub: EventHub) -> None:
    async def read() -> list[tuple[str, Kind]]:
        with hub.subscribe(A) as reader:
            hub.publish(A, Kind.STARTED, {})
            hub.publish(B, Kind.STARTED, {})
            hub.publish(A, Kind.FINISHED, {})
            first, second = await reader.next(1), await reader.next(1)
            assert await reader.next(0.01) is None
            return [(update.job_id, update.kind) for update in (first, second) if update]

    assert asyncio.run(read()) == [(A, Kind.STARTED), (A, Kind.FINISHED)]


def test_a_waiting_reader_is_woken_from_another_thread(hub: EventHub) -> None:
    async def read() -> Update | None:
        with hub.subscribe() as reader:
            thread = threading.Timer(0.05, hub.publish, (A, Kind.STARTED, {"attempt": 1}))
            thread.start()
            return await reader.next(10)

    update = asyncio.run(read())
    assert update is not None and (update.job_id, update.at, update.data) == (A, 1000.0, {"attempt": 1})


def test_numbers_grow_over_all_jobs_also_when_a_job_is_forgotten(hub: EventHub) -> None:
    hub.publish(A, Kind.QUEUED, {})
    before = hub.newest(A)
    for number in range(2100):
        hub.publish(JobId(f"other-{number}"), Kind.STARTED, {})
    assert hub.newest(A) is None
    hub.publish(A, Kind.STARTED, {})
    after = hub.newest(A)
    assert before is not None and after is not None and after.seq > before.seq


def test_many_threads_updates_reach_a_reader_in_the_order_of_their_numbers(hub: EventHub) -> None:
    def publish_all(reader: Subscription) -> list[int]:
        threads = [threading.Thread(target=hub.publish, args=(A, Kind.OUTPUT, {})) for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [update.seq for update in taken(reader)]

    numbers = in_loop(lambda: publish_all(hub.subscribe(A)))
    assert len(numbers) == 200 and numbers == sorted(numbers)


def test_a_reader_who_comes_back_gets_what_came_since(hub: EventHub) -> None:
    hub.publish(A, Kind.STARTED, {})
    hub.publish(A, Kind.OUTPUT, {"filename": "1"})
    seen = hub.newest(A)
    hub.publish(A, Kind.OUTPUT, {"filename": "2"})
    assert seen is not None

    def look() -> tuple[bool, list[Kind], list[Any]]:
        reader = hub.subscribe(A, seen.seq)
        return reader.resumed, [u.kind for u in reader.history], [u.data["filename"] for u in taken(reader)]

    assert in_loop(look) == (True, [Kind.STARTED, Kind.OUTPUT], ["2"])


@pytest.mark.parametrize("after", [None, 0])
def test_a_reader_who_may_have_missed_something_is_not_resumed(hub: EventHub, after: int | None) -> None:
    progress(hub, A, 150)

    def look() -> tuple[bool, int, list[Update]]:
        reader = hub.subscribe(A, after)
        return reader.resumed, len(reader.history), taken(reader)

    assert in_loop(look) == (False, 100, [])


def test_a_gap_in_what_is_remembered_is_noticed(hub: EventHub) -> None:
    progress(hub, A, 101)  # one more than is remembered: the first is gone
    assert in_loop(lambda: [hub.subscribe(A, after).resumed for after in (1, 2)]) == [False, True]


def test_pictures_are_for_those_who_ask_and_not_remembered(hub: EventHub) -> None:
    def look() -> list[int]:
        readers = [hub.subscribe(A), hub.subscribe(A, previews=True), hub.subscribe()]
        hub.publish(A, Kind.PREVIEW, {})
        return [len(taken(reader)) for reader in readers]

    assert in_loop(look) == [0, 1, 0]
    assert hub.newest(A) is None


def test_the_end_of_a_job_frees_what_is_remembered_of_its_progress(hub: EventHub) -> None:
    hub.publish(A, Kind.STARTED, {})
    progress(hub, A, 50)
    hub.publish(A, Kind.FINISHED, {})
    history = in_loop(lambda: hub.subscribe(A).history)
    assert [update.kind for update in history] == [Kind.STARTED, Kind.FINISHED]


def test_a_slow_reader_loses_pictures_of_progress_first_and_ends_last(hub: EventHub) -> None:
    def look() -> list[Update]:
        reader = hub.subscribe(None)
        for job_id in (A, B):
            hub.publish(job_id, Kind.STARTED, {})
            progress(hub, job_id, 400)
            hub.publish(job_id, Kind.FINISHED, {})
        for number in range(300):
            hub.publish(JobId(f"more-{number}"), Kind.STARTED, {})
        return taken(reader)

    updates = in_loop(look)
    assert len(updates) == 256
    assert [update.job_id for update in updates if update.kind is Kind.FINISHED] == [A, B]
    assert not [update for update in updates if update.kind is Kind.PROGRESS]
    assert updates[-1].job_id == "more-299"


def test_readers_who_leave_are_forgotten(hub: EventHub) -> None:
    def look() -> list[int]:
        counts = []
        with hub.subscribe(A), hub.subscribe():
            counts.append(hub.readers())
        return [*counts, hub.readers()]

    assert in_loop(look) == [2, 0]


def test_a_reader_whose_loop_is_closed_is_forgotten(hub: EventHub) -> None:
    in_loop(lambda: hub.subscribe(A))
    assert hub.readers() == 1
    hub.publish(A, Kind.STARTED, {})
    assert hub.readers() == 0


def test_listeners_hear_everything_even_of_themselves(hub: EventHub) -> None:
    heard: list[Kind] = []

    def listener(update: Update) -> None:
        heard.append(update.kind)
        if update.kind is Kind.QUEUED:
            hub.publish(update.job_id, Kind.STARTED, {})

    hub.listen(listener)
    hub.publish(A, Kind.QUEUED, {})
    assert heard == [Kind.QUEUED, Kind.STARTED]
