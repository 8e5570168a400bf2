"""ComfyUIs to talk to, and the watch over what is left behind."""

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.prompts import Workflow, blurs, inverts
from support.standin_process import StandinProcess
from support.waiting import wait_for

from api.comfyui.client import ComfyClient
from api.comfyui.stream import ComfyStream


@pytest.fixture(scope="session")
def shared_standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def no_thread_left(shared_standin: StandinProcess) -> Iterator[None]:
    """A test ends with the threads it began with, the reader of the shared stand-in among them."""
    before = set(threading.enumerate())
    yield
    wait_for(lambda: not [t for t in threading.enumerate() if t not in before], "all threads of the test to end")


@pytest.fixture
def standin(shared_standin: StandinProcess) -> Iterator[StandinProcess]:
    """A healthy stand-in, shared; the test may set faults, not kill it."""
    yield shared_standin
    shared_standin.clear_faults()


@pytest.fixture
def mortal() -> Iterator[StandinProcess]:
    """A stand-in of the test's own, to be killed and restarted."""
    with StandinProcess() as process:
        yield process


@pytest.fixture(params=["standin", pytest.param("real", marks=pytest.mark.comfyui)])
def any_url(request: pytest.FixtureRequest) -> str:
    """The address of the stand-in, and of the real ComfyUI at COMFYUI_TEST_URL where there is one."""
    if request.param == "standin":
        standin: StandinProcess = request.getfixturevalue("standin")
        return standin.url
    url = os.environ.get("COMFYUI_TEST_URL")
    if not url:
        pytest.skip("COMFYUI_TEST_URL is not set")
    return url


@pytest.fixture
def slow_prompt(
    any_url: str, shared_standin: StandinProcess, request: pytest.FixtureRequest
) -> Callable[..., Workflow]:
    """`slow_prompt(steps)`: each step takes 0.1 s and more; an interrupt is noticed between two."""
    if any_url != shared_standin.url:
        return blurs
    request.getfixturevalue("standin").set_fault("slow_execute", 100)
    return inverts


Connect = Callable[..., Any]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """`client, stream = connect(url)`, closed after the test. Options go to the client and the stream by name."""
    opened: list[ComfyClient | ComfyStream] = []

    def make(url: str, **options: Any) -> tuple[ComfyClient, ComfyStream]:
        stream_keys = {"reconnect_attempts", "reconnect_delay_s", "trace"}
        client = ComfyClient(url, **{k: v for k, v in options.items() if k not in stream_keys})
        stream = ComfyStream(url, uuid.uuid4().hex, **{k: v for k, v in options.items() if k in stream_keys})
        opened.extend([stream, client])
        return client, stream

    yield make
    for each in opened:
        each.close()
