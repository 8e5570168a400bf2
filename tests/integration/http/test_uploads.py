"""Uploads over sockets: whole, known already, in pieces, broken off; and the client that speaks tus."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.live_rig import MAX_UPLOAD, LiveRig, live_rig
from support.waiting import wait_for

from api.errors import StorageFull
from api.jobs.uploads import Uploads

CONTENT = bytes(range(256)) * 8000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
REF = f"upload:{DIGEST}"


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveRig]:
    with live_rig(tmp_path) as rig:
        yield rig


@pytest.fixture
def root(live: LiveRig) -> Path:
    return live.jobs.spool.root / "uploads"


def left(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def begun(live: LiveRig, size: int = len(CONTENT), **options: Any) -> str:
    answer = live.post("/uploads", params={"size": size}, **options)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def sent(live: LiveRig, session: str, offset: int, data: bytes, **headers: str) -> requests.Response:
    return live.request("PATCH", session, data=data, headers={"Upload-Offset": str(offset), **headers})


def test_a_body_is_kept_under_its_hash(live: LiveRig, root: Path) -> None:
    answer = live.post("/uploads", data=CONTENT)
    body = answer.json()
    assert (answer.status_code, body["ref"], body["sha256"]) == (201, REF, DIGEST)
    assert body["size_bytes"] == len(CONTENT)
    assert (root / DIGEST).read_bytes() == CONTENT


def test_a_body_without_announced_length_is_kept_as_well(live: LiveRig, root: Path) -> None:
    pieces = (CONTENT[start : start + 100_000] for start in range(0, len(CONTENT), 100_000))
    assert live.post("/uploads", data=pieces).json()["ref"] == REF


def test_what_is_here_need_not_be_sent(live: LiveRig) -> None:
    assert live.get(f"/uploads/{DIGEST}").status_code == 404
    assert live.request("HEAD", f"/uploads/{DIGEST}").status_code == 404
    live.post("/uploads", data=CONTENT)
    assert live.request("HEAD", f"/uploads/{DIGEST}").status_code == 200
    assert live.get(f"/uploads/{DIGEST}").json()["ref"] == REF
    answer = live.post("/uploads", params={"sha256": DIGEST})
    assert (answer.status_code, answer.json()["ref"]) == (200, REF)
    assert live.post("/uploads", params={"sha256": DIGEST}, data=CONTENT).status_code == 200


def test_a_file_is_forgotten(live: LiveRig, root: Path) -> None:
    live.post("/uploads", data=CONTENT)
    assert live.request("DELETE", f"/uploads/{DIGEST}").status_code == 204
    assert left(root) == []
    assert live.request("DELETE", f"/uploads/{DIGEST}").status_code == 404
    assert live.request("DELETE", "/uploads/..%2Fjobs.db").status_code in {404, 422}


def test_a_wrong_hash_is_refused_and_nothing_kept(live: LiveRig, root: Path) -> None:
    answer = live.post("/uploads", params={"sha256": "0" * 64}, data=CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (422, "UPLOAD_MISMATCH")
    assert left(root) == []


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"data": b""}, 400),
        ({"files": {"file": b"x"}}, 415),
        ({"data": b"x", "headers": {"Content-Encoding": "gzip"}}, 415),
        ({"data": b"x", "params": {"sha256": "../../etc/passwd"}}, 422),
        ({"data": b"x", "params": {"size": 10}}, 400),
        ({"params": {"size": 0}}, 422),
        ({"params": {"size": MAX_UPLOAD + 1}}, 413),
        ({"params": {"size": 10**30}}, 422),
        ({"data": bytes(MAX_UPLOAD + 1)}, 413),
        ({"data": iter([bytes(MAX_UPLOAD), b"x"])}, 413),
    ],
)
def test_what_is_no_upload_is_refused(live: LiveRig, root: Path, options: dict[str, Any], status: int) -> None:
    answer = live.post("/uploads", **options)
    assert answer.status_code == status, answer.text
    assert left(root) == []


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with live_rig(tmp_path) as live:

        def full(_wanted_bytes: int) -> None:
            raise StorageFull("The worker's disk is nearly full.", retry_after_s=60)

        store = Uploads(tmp_path / "full", MAX_UPLOAD, check_room=full)
        with pytest.raises(StorageFull):
            store.begin()
        live.jobs.spool._min_free_bytes = 10**18
        answer = live.post("/uploads", data=b"x")
        assert (answer.status_code, answer.headers["Retry-After"]) == (507, "60")


def test_a_sender_that_breaks_off_leaves_nothing(live: LiveRig, root: Path) -> None:
    with socket.create_connection(("127.0.0.1", live.server.port)) as sender:
        sender.sendall(b"POST /uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + bytes(1_500_000))
        wait_for(lambda: left(root), "the beginning")
    wait_for(lambda: not left(root), "the end")


def test_a_session_takes_pieces_and_tells_where_it_is(live: LiveRig, root: Path) -> None:
    session = begun(live, headers={"Content-Type": "application/octet-stream"})
    answer = sent(live, session, 0, CONTENT[:1_200_000])
    assert (answer.status_code, answer.json()["offset_bytes"], answer.json()["ref"]) == (200, 1_200_000, None)
    head = live.request("HEAD", session)
    assert (head.status_code, head.headers["Upload-Offset"]) == (200, "1200000")
    assert (head.headers["Upload-Length"], head.headers["Cache-Control"]) == (str(len(CONTENT)), "no-store")
    answer = sent(live, session, 1_200_000, CONTENT[1_200_000:])
    assert answer.json()["ref"] == REF
    assert live.get(session).json()["ref"] == REF
    assert (root / DIGEST).read_bytes() == CONTENT


def test_a_piece_at_another_place_is_refused(live: LiveRig) -> None:
    session = begun(live)
    assert sent(live, session, 0, CONTENT[:10]).status_code == 200
    answer = sent(live, session, 5, CONTENT[5:])
    assert (answer.status_code, answer.json()["code"]) == (409, "UPLOAD_CONFLICT")
    assert sent(live, session, 10, CONTENT).status_code == 400, "more than the session takes"
    assert live.request("PATCH", session, data=b"x").status_code == 422, "no Upload-Offset"
    assert live.get(session).json()["offset_bytes"] == 10


def test_what_came_before_a_broken_connection_stays(live: LiveRig) -> None:
    session = begun(live)
    head = f"PATCH {session} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", live.server.port)) as sender:
        sender.sendall(head.encode() + CONTENT[:1_500_000])

    def offset() -> int:
        return int(live.get(session).json()["offset_bytes"])

    wait_for(lambda: offset() == 1_500_000, "all that was sent")
    assert sent(live, session, 1_500_000, CONTENT[1_500_000:]).json()["ref"] == REF


def test_only_one_sender_at_a_time(live: LiveRig) -> None:
    session = begun(live)
    head = f"PATCH {session} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", live.server.port)) as sender:
        sender.sendall(head.encode() + CONTENT[:1_200_000])
        wait_for(lambda: live.get(session).json()["offset_bytes"] > 0, "the beginning")
        offset = live.get(session).json()["offset_bytes"]
        answer = sent(live, session, offset, b"x")
    assert (answer.status_code, answer.json()["code"]) == (409, "UPLOAD_CONFLICT")


def test_a_session_with_a_wrong_hash_leaves_nothing(live: LiveRig, root: Path) -> None:
    answer = live.post("/uploads", params={"size": len(CONTENT), "sha256": "0" * 64})
    assert sent(live, answer.headers["Location"], 0, CONTENT).status_code == 422
    assert left(root) == []


def test_a_session_can_be_given_up(live: LiveRig, root: Path) -> None:
    session = begun(live)
    assert live.request("DELETE", session).status_code == 204
    assert [live.request(method, session).status_code for method in ("GET", "DELETE")] == [404, 404]
    assert left(root) == []


@pytest.mark.parametrize("session", ["0" * 32, "..%2f..%2fetc%2fpasswd", "x"])
def test_an_unknown_session_is_not_found(live: LiveRig, session: str) -> None:
    assert live.get(f"/uploads/sessions/{session}").status_code == 404
    assert sent(live, f"/uploads/sessions/{session}", 0, b"x").status_code == 404


def test_a_tus_client_is_understood(live: LiveRig) -> None:
    tus = {"Tus-Resumable": "1.0.0"}
    created = live.post("/uploads", headers={**tus, "Upload-Length": str(len(CONTENT)), "Upload-Metadata": "name YQ=="})
    assert (created.status_code, created.headers["Tus-Resumable"]) == (201, "1.0.0")
    session = created.headers["Location"]
    kind = {"Content-Type": "application/offset+octet-stream"}
    first = sent(live, session, 0, CONTENT[:1000], **tus, **kind)
    assert (first.status_code, first.headers["Upload-Offset"], first.content) == (204, "1000", b"")
    head = live.request("HEAD", session, headers=tus)
    assert (head.headers["Upload-Offset"], head.headers["Tus-Resumable"]) == ("1000", "1.0.0")
    last = sent(live, session, 1000, CONTENT[1000:], **tus, **kind)
    assert (last.status_code, last.headers["Upload-Ref"]) == (204, REF)
    assert live.request("DELETE", session, headers=tus).status_code == 204
