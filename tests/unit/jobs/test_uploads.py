"""Uploads on disk: whole or nothing, equal ones once, pieces that last, names that lead nowhere else."""

import hashlib
import os
import resource
import signal
import threading
import time
from pathlib import Path

import pytest

from api.errors import DiskFull, InputTooLarge, StorageFull, UploadConflict, UploadMismatch, UploadNotFound
from api.jobs.uploads import Upload, Uploads

DAY = 24 * 3600.0
CONTENT = b"some picture" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Clock:
    """Runs with the files' own times, and ahead when it is told to."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def uploads(root: Path, clock: Clock) -> Uploads:
    return Uploads(root, 1_000_000, ttl_s=DAY, clock=clock)


def kept(uploads: Uploads, content: bytes = CONTENT, sha256: str | None = None) -> Upload:
    with uploads.begin(len(content)) as incoming:
        incoming.write(content)
        return uploads.keep(incoming, sha256)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_what_comes_in_is_found_under_the_hash_of_its_content(uploads: Uploads, root: Path, clock: Clock) -> None:
    upload = kept(uploads)
    assert (upload.ref, upload.sha256, upload.size_bytes) == (f"upload:{DIGEST}", DIGEST, len(CONTENT))
    assert upload.expires_at == pytest.approx(clock() + DAY, abs=5)
    path = uploads.find(DIGEST)
    assert path is not None and path.read_bytes() == CONTENT
    assert files(root) == [DIGEST]
    assert path.stat().st_mode & 0o077 == 0


def test_equal_files_are_kept_once(uploads: Uploads, root: Path) -> None:
    assert kept(uploads).sha256 == kept(uploads, sha256=DIGEST).sha256
    assert files(root) == [DIGEST]


def test_equal_files_that_come_at_once_do_not_harm_each_other(uploads: Uploads, root: Path) -> None:
    found: list[Upload] = []
    threads = [threading.Thread(target=lambda: found.append(kept(uploads))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {upload.sha256 for upload in found} == {DIGEST} and len(found) == 16
    assert files(root) == [DIGEST]
    assert (root / DIGEST).read_bytes() == CONTENT


def test_other_content_than_announced_leaves_nothing(uploads: Uploads, root: Path) -> None:
    with pytest.raises(UploadMismatch, match=DIGEST):
        kept(uploads, sha256="0" * 64)
    assert files(root) == []


def test_a_sender_that_breaks_off_leaves_nothing(uploads: Uploads, root: Path) -> None:
    with pytest.raises(ConnectionError), uploads.begin() as incoming:
        incoming.write(CONTENT)
        raise ConnectionError
    assert files(root) == []


@pytest.mark.parametrize(
    "name", ["../secret", "..", "", "/etc/passwd", "drafts", "sessions", DIGEST.upper(), f"{DIGEST}\n", "a" * 63, "\0"]
)
def test_only_hashes_are_looked_up(uploads: Uploads, root: Path, name: str) -> None:
    kept(uploads)
    (root.parent / "secret").write_text("x")
    assert uploads.find(name) is None
    with pytest.raises(UploadNotFound):
        uploads.get(name)


@pytest.mark.parametrize("name", ["../secret", "", "0" * 31, "0" * 32, "0" * 32 + "\n", f"{'0' * 30}/a"])
def test_only_session_ids_are_looked_up(uploads: Uploads, name: str) -> None:
    for ask in (uploads.session, uploads.end_session, lambda given: uploads.resume(given, 0)):
        with pytest.raises(UploadNotFound):
            ask(name)


def test_too_large_ones_are_refused_before_and_while_they_come(uploads: Uploads, root: Path) -> None:
    with pytest.raises(InputTooLarge, match="1 MB"):
        uploads.begin(1_000_001)
    with pytest.raises(InputTooLarge, match="1 MB"):
        uploads.open_session(1_000_001)
    with pytest.raises(InputTooLarge), uploads.begin() as incoming:
        incoming.write(bytes(600_000))
        incoming.write(bytes(600_000))
    assert files(root) == []


def test_room_is_asked_for_before_and_while_they_come(root: Path) -> None:
    asked: list[int] = []

    def check_room(wanted_bytes: int) -> None:
        asked.append(wanted_bytes)
        if len(asked) > 2:
            raise StorageFull("full")

    uploads = Uploads(root, 1_000_000_000, check_room=check_room)
    with uploads.begin(5) as incoming:
        incoming.write(bytes(70_000_000))
        with pytest.raises(StorageFull):
            incoming.write(bytes(70_000_000))
    assert asked == [5, 70_000_000, 70_000_000]
    with pytest.raises(StorageFull):
        uploads.open_session(7)
    assert files(root) == []


def test_a_full_disk_is_told_as_such_and_leaves_nothing(uploads: Uploads, root: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(DiskFull), uploads.begin() as incoming:
            incoming.write(bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert files(root) == []


def test_pieces_make_the_whole(uploads: Uploads, root: Path) -> None:
    session = uploads.open_session(len(CONTENT), DIGEST)
    assert (session.offset_bytes, session.size_bytes, session.ref) == (0, len(CONTENT), None)
    for start in range(0, len(CONTENT), 5000):
        with uploads.resume(session.id, start) as incoming:
            incoming.write(CONTENT[start : start + 5000])
            session = uploads.settle(session, incoming)
        assert session.offset_bytes == min(start + 5000, len(CONTENT))
    assert session.ref == f"upload:{DIGEST}"
    assert (root / DIGEST).read_bytes() == CONTENT
    assert uploads.session(session.id) == session, "its sender may have missed the last answer"


def test_pieces_outlast_broken_connections_and_the_process(uploads: Uploads, root: Path, clock: Clock) -> None:
    session = uploads.open_session(len(CONTENT))
    with pytest.raises(ConnectionError), uploads.resume(session.id, 0) as incoming:
        incoming.write(CONTENT[:7000])
        raise ConnectionError
    again = Uploads(root, 1_000_000, clock=clock)
    assert again.session(session.id).offset_bytes == 7000
    with again.resume(session.id, 7000) as incoming:
        incoming.write(CONTENT[7000:])
        assert again.settle(session, incoming).ref == f"upload:{DIGEST}"


def test_whole_ones_that_were_cut_off_before_they_were_kept_are_kept_when_asked_for(uploads: Uploads) -> None:
    session = uploads.open_session(len(CONTENT))
    with uploads.resume(session.id, 0) as incoming:
        incoming.write(CONTENT)
    assert uploads.find(DIGEST) is None
    assert uploads.session(session.id).ref == f"upload:{DIGEST}"
    assert uploads.find(DIGEST) is not None


def test_noted_as_kept_but_killed_before_is_kept_when_asked_for(uploads: Uploads, root: Path) -> None:
    session = uploads.open_session(len(CONTENT))
    with uploads.resume(session.id, 0) as incoming:
        incoming.write(CONTENT)
        uploads.settle(session, incoming)
    (root / DIGEST).rename(root / "sessions" / f"{session.id}.part")  # as it was a moment before
    assert uploads.session(session.id).ref == f"upload:{DIGEST}"
    assert (root / DIGEST).read_bytes() == CONTENT


def test_a_session_goes_on_only_where_it_is_and_for_one_at_a_time(uploads: Uploads) -> None:
    session = uploads.open_session(len(CONTENT))
    with uploads.resume(session.id, 0) as incoming:
        incoming.write(CONTENT[:100])
        with pytest.raises(UploadConflict, match="Another request"):
            uploads.resume(session.id, 100)
    for offset in (0, 99, 101):
        with pytest.raises(UploadConflict, match="Upload-Offset 100"):
            uploads.resume(session.id, offset)
    with uploads.resume(session.id, 100) as incoming, pytest.raises(InputTooLarge):
        incoming.write(CONTENT)
    assert uploads.session(session.id).offset_bytes == 100


def test_a_session_with_other_content_than_announced_leaves_nothing(uploads: Uploads, root: Path) -> None:
    session = uploads.open_session(len(CONTENT), "0" * 64)
    with pytest.raises(UploadMismatch), uploads.resume(session.id, 0) as incoming:
        incoming.write(CONTENT)
        uploads.settle(session, incoming)
    assert files(root) == []


def test_a_complete_session_takes_no_more_and_a_given_up_one_is_gone(uploads: Uploads, root: Path) -> None:
    session = uploads.open_session(len(CONTENT))
    with uploads.resume(session.id, 0) as incoming:
        incoming.write(CONTENT)
        uploads.settle(session, incoming)
    with pytest.raises(UploadConflict, match="complete"):
        uploads.resume(session.id, len(CONTENT))
    uploads.end_session(session.id)
    with pytest.raises(UploadNotFound):
        uploads.session(session.id)
    assert files(root) == [DIGEST]


def test_a_session_whose_upload_is_gone_is_gone(uploads: Uploads, root: Path) -> None:
    session = uploads.open_session(len(CONTENT))
    with uploads.resume(session.id, 0) as incoming:
        incoming.write(CONTENT)
        uploads.settle(session, incoming)
    (root / DIGEST).unlink()
    with pytest.raises(UploadNotFound):
        uploads.session(session.id)


def test_unused_uploads_go_and_used_ones_stay(uploads: Uploads, clock: Clock) -> None:
    kept(uploads)
    other = kept(uploads, b"other")
    clock.ahead = DAY - 60
    uploads.expire()
    assert uploads.find(DIGEST) is not None, "and with this it is used"
    clock.ahead = DAY + 60
    uploads.expire()
    assert uploads.find(other.sha256) is None
    assert uploads.find(DIGEST) is not None


def test_what_a_killed_process_leaves_goes_after_a_while(uploads: Uploads, root: Path, clock: Clock) -> None:
    pid = os.fork()
    if pid == 0:
        draft = uploads.begin()
        draft.write(CONTENT)
        session = uploads.open_session(len(CONTENT))
        part = uploads.resume(session.id, 0)
        part.write(CONTENT[:10])
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    uploads.expire()
    assert [name.partition("/")[0] for name in files(root)] == ["drafts", "sessions", "sessions"]
    clock.ahead = 2 * 3600
    uploads.expire()
    assert [name.partition("/")[0] for name in files(root)] == ["sessions", "sessions"]
    clock.ahead = DAY + 60
    uploads.expire()
    assert files(root) == []


def test_sessions_under_way_stay(uploads: Uploads, root: Path, clock: Clock) -> None:
    session = uploads.open_session(100)
    old = time.time() - DAY - 60
    os.utime(root / "sessions" / f"{session.id}.json", (old, old))
    uploads.expire()
    assert uploads.session(session.id).offset_bytes == 0
