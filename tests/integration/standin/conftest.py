"""One stand-in process per test, and sockets to it that are closed afterwards."""

from collections.abc import Iterator

import pytest
from support.standin_client import Listen, Listener
from support.standin_process import StandinProcess


@pytest.fixture
def comfyui() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture
def listen(comfyui: StandinProcess) -> Iterator[Listen]:
    """`listen(client_id)`: connected, the first status heard."""
    listeners: list[Listener] = []

    def connect(client_id: str) -> Listener:
        listeners.append(Listener(comfyui.ws_url, client_id))
        assert listeners[-1].hear()["data"]["sid"] == client_id
        return listeners[-1]

    yield connect
    for listener in listeners:
        listener.close()
