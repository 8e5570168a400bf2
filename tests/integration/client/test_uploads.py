"""Large files go ahead of the job, whatever breaks on the way."""

import hashlib
import random
from pathlib import Path

import pytest
from support.fake_worker import Answer, FakeWorker

from api.client import Client, Refused, Unreachable

JOB = "550e8400-e29b-41d4-a716-446655440000"
CONTENT = random.Random(2).randbytes(20_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
REF = f"upload:{DIGEST}"
SESSION = "/uploads/sessions/s1"


def state(offset: int, ref: str | None = None) -> dict[str, object]:
    return {"session_id": "s1", "offset_bytes": offset, "size_bytes": len(CONTENT), "ref": ref}


def test_a_file_goes_in_pieces(worker: FakeWorker, client: Client, tmp_path: Path):
    (tmp_path / "big.png").write_bytes(CONTENT)
    worker.answer("POST", "/uploads", 201, state(0))
    worker.answer("PATCH", SESSION, 200, state(16_000_000))
    worker.answer("PATCH", SESSION, 200, state(len(CONTENT), REF))
    assert client.upload(tmp_path / "big.png") == REF
    (begun,) = worker.asked("POST", "/uploads")
    assert begun.query == {"sha256": DIGEST, "size": str(len(CONTENT))}
    pieces = worker.asked("PATCH", SESSION)
    assert [piece.headers["upload-offset"] for piece in pieces] == ["0", "16000000"]
    assert b"".join(piece.body for piece in pieces) == CONTENT


def test_what_is_there_already_is_not_sent(worker: FakeWorker, client: Client):
    worker.answer("POST", "/uploads", 200, {"ref": REF, "sha256": DIGEST, "size_bytes": len(CONTENT)})
    assert client.upload(CONTENT) == REF
    assert worker.asked("PATCH", SESSION) == []


def test_a_broken_connection_costs_only_what_was_under_way(worker: FakeWorker, client: Client):
    worker.answer("POST", "/uploads", 201, state(0))
    worker.give("PATCH", SESSION, Answer(drop=True), Answer(409, b"{}"), Answer(503))
    worker.answer("PATCH", SESSION, 200, state(len(CONTENT), REF))
    worker.answer("GET", SESSION, 200, state(9_000_000))
    assert client.upload(CONTENT) == REF
    last = worker.asked("PATCH", SESSION)[-1]
    assert (last.headers["upload-offset"], last.body == CONTENT[9_000_000:]) == ("9000000", True)


def test_an_upload_whose_last_answer_was_lost_is_done(worker: FakeWorker, client: Client):
    worker.answer("POST", "/uploads", 201, state(16_000_000))
    worker.give("PATCH", SESSION, Answer(drop=True))
    worker.answer("GET", SESSION, 200, state(len(CONTENT), REF))
    assert client.upload(CONTENT) == REF


def test_an_upload_that_never_gets_further_ends(worker: FakeWorker, client: Client):
    worker.answer("POST", "/uploads", 201, state(0))
    worker.give("PATCH", SESSION, Answer(drop=True))
    worker.answer("GET", SESSION, 200, state(0))
    with pytest.raises(Unreachable, match="again and again"):
        client.upload(CONTENT)
    assert len(worker.asked("PATCH", SESSION)) == 4


@pytest.mark.parametrize("status", [413, 422, 507])
def test_a_refused_upload_is_told(worker: FakeWorker, client: Client, status: int):
    worker.answer("POST", "/uploads", 201, state(0))
    worker.answer("PATCH", SESSION, status, {"message": "Not this."})
    with pytest.raises(Refused, match="Not this"):
        client.upload(CONTENT)


def test_a_submit_uploads_what_is_too_large_to_go_along(worker: FakeWorker, client: Client):
    worker.answer("POST", "/uploads", 200, {"ref": REF})
    worker.answer("POST", "/run", 202, {"job_id": JOB, "status": "pending"})
    client.submit({"1": {}}, {"big.png": CONTENT, "again.png": REF})
    (asked,) = worker.asked("POST", "/run")
    assert asked.json["images"] == [{"name": "big.png", "image": REF}, {"name": "again.png", "image": REF}]
