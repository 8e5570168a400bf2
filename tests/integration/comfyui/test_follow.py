"""Following a prompt over HTTP alone, with every answer scripted."""

import json
from typing import Any

import pytest
from support.prompts import new_id, picture, run
from support.raw_server import RawServer, Reply, ok, status

from api.comfyui.client import ComfyClient
from api.comfyui.history import HistoryEntry
from api.comfyui.stream import ComfyStream
from api.errors import ComfyProtocolError, InputTooLarge, PromptLost

EMPTY_QUEUE = {"queue_running": [], "queue_pending": []}
ID = new_id()
RUNNING = {"queue_running": [[0, ID, {}, {}, []]], "queue_pending": []}
DONE = {ID: {"outputs": {}, "status": {"status_str": "success", "messages": [["execution_success", {}]]}}}
ACCEPTED = {"prompt_id": ID, "number": 0, "node_errors": {}}


def follow(*answers: Any) -> tuple[HistoryEntry | None, list[str]]:
    """Run a prompt on a server that gives these answers; what was asked of it."""
    replies = [answer if isinstance(answer, Reply) else Reply(ok(json.dumps(answer).encode())) for answer in answers]
    with RawServer(replies) as server:
        client, stream = ComfyClient(server.url), ComfyStream(server.url, "c")
        stream.close()
        try:
            entry = run(client, stream, picture(), prompt_id=ID).entry
        finally:
            client.close()
        return entry, [request.line.split(" HTTP")[0].split("/")[1] for request in server.requests]


def test_queue_first_then_history():
    entry, asked = follow(ACCEPTED, RUNNING, RUNNING, EMPTY_QUEUE, DONE)
    assert entry and entry.error() is None
    assert asked == ["prompt", "queue", "queue", "queue", "history"]


def test_absent_once_is_not_lost():
    entry, asked = follow(ACCEPTED, EMPTY_QUEUE, {}, EMPTY_QUEUE, DONE)
    assert entry
    assert asked == ["prompt", "queue", "history", "queue", "history"]


def test_absent_twice_is_lost():
    with pytest.raises(PromptLost):
        follow(ACCEPTED, EMPTY_QUEUE, {}, EMPTY_QUEUE, {})


def test_pitfall_13_an_unknown_outcome_is_looked_up_before_posting_again():
    trouble = Reply(status(500, b"Server got itself in trouble"), "close")
    entry, asked = follow(trouble, EMPTY_QUEUE, {}, EMPTY_QUEUE, {}, ACCEPTED, EMPTY_QUEUE, DONE)
    assert entry
    assert asked == ["prompt", "queue", "history", "queue", "history", "prompt", "queue", "history"]


def test_an_unknown_outcome_that_was_a_success():
    entry, asked = follow(Reply(b"", "reset"), RUNNING, EMPTY_QUEUE, DONE)
    assert entry
    assert asked == ["prompt", "queue", "queue", "history"]


@pytest.mark.parametrize("code", [301, 401, 403, 404, 405])
def test_what_is_no_comfyui_is_said_at_once(code: int):
    with pytest.raises(ComfyProtocolError, match=str(code)):
        follow(Reply(status(code)))


def test_a_body_that_is_too_large():
    with pytest.raises(InputTooLarge):
        follow(Reply(status(413)))


@pytest.mark.parametrize("answer", [{}, [], "text"])
def test_a_200_that_accepts_nothing(answer: Any):
    with pytest.raises(ComfyProtocolError):
        follow(answer)


def test_a_400_that_explains_nothing():
    with pytest.raises(ComfyProtocolError, match="400: go away"):
        follow(Reply(status(400, b"go away")))
