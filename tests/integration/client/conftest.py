"""A scripted worker, and clients that do not dawdle between tries."""

from collections.abc import Iterator

import pytest
from support.fake_worker import FakeWorker

from api.client import Client

JOB = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def worker() -> Iterator[FakeWorker]:
    with FakeWorker() as fake:
        yield fake


@pytest.fixture
def pauses() -> list[float]:
    """The pauses the client has made, none of which took time."""
    return []


@pytest.fixture
def client(worker: FakeWorker, pauses: list[float]) -> Iterator[Client]:
    with Client(worker.url, "secret-key", timeout_s=5, retries=3, sleep=pauses.append) as client:
        yield client
