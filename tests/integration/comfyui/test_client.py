"""The endpoints, on the stand-in and on a real ComfyUI."""

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from support.prompts import new_id, node, picture, run
from support.standin_process import StandinProcess
from support.waiting import wait_for

from api.comfyui.client import ComfyClient, UploadedFile
from api.comfyui.submit import PromptBody
from api.errors import OutputUnavailable

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000080000000808020000004b6d29dc0000001449444154789c6364646266c00698b0"
    "8a0e5a09000baa001648155030b00000000049454e44ae426082"
)


@pytest.fixture
def client(any_url: str, connect: Callable) -> ComfyClient:
    return connect(any_url)[0]


def stored(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / hashlib.sha256(content).hexdigest()
    path.write_bytes(content)
    return path


def test_signs_of_life(client: ComfyClient):
    assert client.queue_remaining() >= 0
    assert client.system_stats()["system"]["comfyui_version"]
    assert int(client.features()["max_upload_size"]) > 0
    assert isinstance(client.logs(), list)


def test_definitions(client: ComfyClient):
    everything = client.object_info()
    assert "SaveImage" in everything
    assert client.object_info() is everything, "kept for a while"
    assert "images" in client.object_info("SaveImage")["SaveImage"]["input"]["required"]
    assert client.object_info("No/Such Node") == {}


@pytest.mark.parametrize("name", ["plain.png", "grün ü.png", "空 x.png", 'qu"ote.png', "per%20cent.png"])
def test_pitfall_19_an_uploaded_name_survives_and_can_be_loaded(
    any_url: str, connect: Callable, tmp_path: Path, name: str
):
    client, stream = connect(any_url)
    folder = f"test-comfyui/{uuid.uuid4()}"
    upload = client.upload(stored(tmp_path, PNG), name, subfolder=folder, content_type="image/png")
    assert upload == UploadedFile(name, folder, "input")
    workflow = {"1": node("LoadImage", image=upload.reference), "2": node("PreviewImage", images=["1", 0])}
    assert run(client, stream, workflow).entry.error() is None
    with client.view(name, folder, "input") as output:
        assert b"".join(output.chunks()) == PNG


def test_the_name_given_back_is_the_one_to_use(client: ComfyClient, tmp_path: Path):
    folder = f"test-comfyui/{uuid.uuid4()}"
    first = client.upload(stored(tmp_path, PNG), "a.png", subfolder=folder)
    same = client.upload(stored(tmp_path, PNG), "a.png", subfolder=folder)
    other = client.upload(stored(tmp_path, PNG + b"x"), "a.png", subfolder=folder)
    over = client.upload(stored(tmp_path, PNG + b"y"), "a.png", subfolder=folder, overwrite=True)
    assert [file.name for file in (first, same, other, over)] == ["a.png", "a.png", "a (1).png", "a.png"]
    assert other.reference == f"{folder}/a (1).png"


def test_the_reference_of_files_elsewhere():
    assert UploadedFile("a.png", "", "input").reference == "a.png"
    assert UploadedFile("a.png", "x/", "temp").reference == "x/a.png [temp]"


def test_an_empty_and_a_large_file(client: ComfyClient, tmp_path: Path):
    folder = f"test-comfyui/{uuid.uuid4()}"
    large = bytes(range(256)) * 20_000
    for content in (b"", large):
        name = client.upload(stored(tmp_path, content), f"{len(content)}.bin", subfolder=folder).name
        with client.view(name, folder, "input") as output:
            assert output.size_bytes == len(content)
            assert b"".join(output.chunks()) == content


@pytest.mark.parametrize("name", ["nope.png", "a..b.png", "/etc/passwd", "../x.png"])
def test_pitfall_17_outputs_that_cannot_be_fetched(client: ComfyClient, name: str):
    with pytest.raises(OutputUnavailable), client.view(name):
        pass


def test_the_queue_is_in_the_order_it_will_run(any_url: str, connect: Callable, slow_prompt: Callable):
    client, _stream = connect(any_url)
    ids = [new_id() for _ in range(4)]
    for prompt_id in ids:
        assert client.submit(PromptBody(slow_prompt()).encode(prompt_id, "nobody")).answer.status == 200
    queue = wait_for(lambda: (found := client.queue()).running and found, "the first to run")
    assert [prompt.prompt_id for prompt in queue.running] == ids[:1]
    assert [prompt.prompt_id for prompt in queue.pending] == ids[1:]
    assert client.queue_remaining() == 4
    client.delete_queued(*ids[1:])
    client.interrupt(ids[0])
    wait_for(lambda: client.queue_remaining() == 0, "the queue to drain")
    entry = wait_for(lambda: client.history(ids[0]), "the interrupted run in the history")
    assert entry.verdict == "interrupted"
    client.delete_history(ids[0])
    assert client.history(ids[0]) is None


def test_the_log_of_a_standin(standin: StandinProcess, connect: Callable):
    client, stream = connect(standin.url)
    run(client, stream, picture())
    assert any("Prompt executed" in write for write in client.logs())
