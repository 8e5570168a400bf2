"""Object storage for these tests: one server a file, emptied after each test."""

from collections.abc import Iterator

import pytest
from support.s3_server import S3Server


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with S3Server() as server:
        server.create_bucket()
        yield server


@pytest.fixture
def server(running: S3Server) -> Iterator[S3Server]:
    yield running
    running.reset()
    running.empty()
