"""Files sent ahead of the jobs that use them: kept once under the hash of their content, gone when unused for long.

`<sha256>` is a whole upload, `drafts/` what is just coming in, `sessions/` what comes in pieces. Every name in there is
made here or checked to be a hash. What a killed process leaves behind, `expire` removes.
"""

import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputTooLarge, UploadMismatch, UploadNotFound
from .files import sync, translated_disk_errors
from .incoming import Incoming
from .upload_session import SessionFiles, UploadSession

_SHA256 = re.compile(r"[0-9a-f]{64}")
# A draft that has not grown for so long has lost its sender, or its process.
_DRAFT_SILENCE_S = 3600.0
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is kept whole until `expires_at` (epoch seconds), or longer when it is used."""

    sha256: str
    size_bytes: int
    expires_at: float

    @property
    def ref(self) -> str:
        """What `images` takes in place of base64."""
        return f"upload:{self.sha256}"


def _any_room(_wanted_bytes: int) -> None:
    return None


class Uploads:
    """Uploads of at most `max_bytes`, kept for `ttl_s` after their last use. Safe from any thread.

    `check_room(bytes)` raises StorageFull when the disk should not take so many more.
    """

    def __init__(
        self,
        root: Path,
        max_bytes: int,
        *,
        ttl_s: float = 24 * 3600.0,
        clock: Callable[[], float] = time.time,
        check_room: Callable[[int], None] = _any_room,
    ) -> None:
        self._root = root
        self._drafts = root / "drafts"
        self._sessions = SessionFiles(root / "sessions", check_room)
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._check_room = check_room
        # Between looking at an upload's age and removing it nobody may begin to use it.
        self._ageing = threading.Lock()
        self._drafts.mkdir(parents=True, exist_ok=True, mode=0o700)

    def find(self, sha256: str) -> Path | None:
        """The file with this content, which then is kept for another while; None when it is not here."""
        if not _SHA256.fullmatch(sha256):
            return None
        path = self._root / sha256
        with self._ageing:
            try:
                self._touch(path)
            except FileNotFoundError:
                return None
        return path

    def get(self, sha256: str) -> Upload:
        """The upload with this content, kept for another while. Raises UploadNotFound."""
        path = self.find(sha256)
        if path is None:
            raise _unknown()
        return Upload(sha256, path.stat().st_size, self._clock() + self._ttl_s)

    def remove(self, sha256: str) -> None:
        """Forget the upload with this content; jobs that use it have it already. Raises UploadNotFound."""
        try:
            with self._ageing:
                (self._root / sha256).unlink()
        except FileNotFoundError:
            raise _unknown() from None

    def begin(self, announced_bytes: int = 0) -> Incoming:
        """Where a whole body is written to; without `keep` nothing stays. Raises InputTooLarge, StorageFull."""
        self._check_size(announced_bytes)
        self._check_room(announced_bytes)
        return Incoming.draft(self._drafts / secrets.token_hex(16), self._max_bytes, self._check_room)

    def keep(self, incoming: Incoming, sha256: str | None = None) -> Upload:
        """Keep what came in, so that it lasts. Raises UploadMismatch when that is not `sha256`, DiskFull."""
        digest = incoming.sha256()
        _check_content(digest, sha256)
        incoming.sync()
        return self._publish(incoming.path, digest)

    def open_session(self, size_bytes: int, sha256: str | None = None) -> UploadSession:
        """Begin an upload in pieces of so many bytes altogether. Raises InputTooLarge, StorageFull."""
        self._check_size(size_bytes)
        self._check_room(size_bytes)
        return self._state(self._sessions.create(size_bytes, sha256))

    def session(self, session_id: str) -> UploadSession:
        """How far a session is. One that is whole but was cut off before it was kept is kept now.

        Raises UploadNotFound, UploadMismatch.
        """
        session = self._state(session_id)
        if session.offset_bytes < session.size_bytes or session.kept_sha256:
            return session
        with self._sessions.resume(session, session.offset_bytes) as incoming:
            return self.settle(session, incoming)

    def resume(self, session_id: str, offset_bytes: int) -> Incoming:
        """Where a session's next bytes are written to; what came stays whatever happens.

        Raises UploadNotFound, UploadConflict for another offset or while somebody else writes, StorageFull.
        """
        session = self._state(session_id)
        self._check_room(session.size_bytes - offset_bytes)
        return self._sessions.resume(session, offset_bytes)

    def settle(self, session: UploadSession, incoming: Incoming) -> UploadSession:
        """Make what came last, and keep the upload when it is whole.

        Raises UploadMismatch, and the session is gone then; DiskFull.
        """
        incoming.sync()
        if incoming.size_bytes < session.size_bytes:
            return self._state(session.id)
        digest = incoming.sha256()
        try:
            _check_content(digest, session.sha256)
        except UploadMismatch:
            self._sessions.remove(session.id)
            raise
        self._sessions.note_kept(session, digest)
        self._publish(incoming.path, digest)
        return self._state(session.id)

    def end_session(self, session_id: str) -> None:
        """Forget a session and what came of it. Raises UploadNotFound."""
        self._state(session_id)
        self._sessions.remove(session_id)

    def expire(self) -> None:
        """Remove what nobody has used for long, and what was cut off."""
        now = self._clock()
        for path in _files(self._root):
            with self._ageing:
                _remove_older(path, now - self._ttl_s)
        for path in _files(self._drafts):
            _remove_older(path, now - _DRAFT_SILENCE_S)
        self._sessions.expire(now - self._ttl_s)

    def _state(self, session_id: str) -> UploadSession:
        session = self._sessions.state(session_id, self._ttl_s)
        if session.kept_sha256 and not (self._root / session.kept_sha256).exists():
            if session.offset_bytes == session.size_bytes and self._sessions.has_content(session_id):
                # Noted, but not yet kept when the process was killed.
                return session.not_kept()
            raise UploadNotFound("What this session has uploaded is no longer kept; send it again.")
        return session

    def _publish(self, path: Path, digest: str) -> Upload:
        target = self._root / digest
        with translated_disk_errors(target):
            size_bytes = path.stat().st_size
            # Whole or not at all; of two equal ones that come at once the later one replaces the other.
            self._touch(path)
            path.replace(target)
            sync(self._root)
        return Upload(digest, size_bytes, self._clock() + self._ttl_s)

    def _touch(self, path: Path) -> None:
        now = self._clock()
        os.utime(path, (now, now))

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise InputTooLarge(
                f"The upload is larger than the {self._max_bytes / _MB:g} MB that are taken (setting MAX_UPLOAD_MB)."
            )


def _unknown() -> UploadNotFound:
    return UploadNotFound("There is no upload with this sha256; send the file to POST /uploads.")


def _check_content(digest: str, announced: str | None) -> None:
    if announced is not None and digest != announced:
        raise UploadMismatch(f"The content's sha256 is {digest}, not the announced {announced}; nothing was kept.")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file())


def _remove_older(path: Path, before: float) -> None:
    try:
        if path.stat().st_mtime < before:
            path.unlink()
    except FileNotFoundError:
        pass  # another process was quicker
