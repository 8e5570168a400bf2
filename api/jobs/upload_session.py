"""Uploads that come in pieces, as files: `<id>.json` says what was announced, `<id>.part` is what has come."""

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UploadConflict, UploadNotFound
from .files import translated_disk_errors, written_whole
from .incoming import Incoming

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class UploadSession:
    """An upload under way. `sha256` is what was announced, `kept_sha256` what it became when it was whole."""

    id: str
    size_bytes: int
    offset_bytes: int
    expires_at: float
    sha256: str | None = None
    kept_sha256: str | None = None

    @property
    def ref(self) -> str | None:
        """What `images` takes in place of base64, when the upload is kept."""
        return f"upload:{self.kept_sha256}" if self.kept_sha256 else None

    def not_kept(self) -> "UploadSession":
        """The same, whole but not yet kept."""
        return replace(self, kept_sha256=None)


class SessionFiles:
    """The files of all sessions, in a folder of their own."""

    def __init__(self, folder: Path, check_room: Callable[[int], None]) -> None:
        self._folder = folder
        self._check_room = check_room
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def create(self, size_bytes: int, sha256: str | None) -> str:
        """A new session's id, once it lasts. Raises DiskFull."""
        session_id = secrets.token_hex(16)
        with translated_disk_errors(self._folder / session_id):
            self._part(session_id).touch(mode=0o600, exist_ok=False)
            self._note(session_id, {"size_bytes": size_bytes, "sha256": sha256})
        return session_id

    def state(self, session_id: str, ttl_s: float) -> UploadSession:
        """How far a session is. Raises UploadNotFound."""
        noted = self._noted(session_id)
        offset_bytes, changed_at = self._content(session_id, noted)
        return UploadSession(
            session_id,
            noted["size_bytes"],
            offset_bytes,
            changed_at + ttl_s,
            noted["sha256"],
            noted.get("kept_sha256"),
        )

    def has_content(self, session_id: str) -> bool:
        """Whether what came is still with the session."""
        return self._part(session_id).exists()

    def resume(self, session: UploadSession, offset_bytes: int) -> Incoming:
        """The file that takes the next bytes. Raises UploadNotFound, UploadConflict."""
        try:
            incoming = Incoming.part(self._part(session.id), session.size_bytes, self._check_room)
        except FileNotFoundError:
            raise UploadConflict("This session is complete; nothing more is taken.") from None
        if incoming.size_bytes != offset_bytes:
            with incoming:
                raise UploadConflict(
                    f"This session goes on at Upload-Offset {incoming.size_bytes}, not {offset_bytes}."
                )
        return incoming

    def note_kept(self, session: UploadSession, digest: str) -> None:
        """Note what the session became, before it is kept: its sender may come back for it. Raises DiskFull."""
        noted = {"size_bytes": session.size_bytes, "sha256": session.sha256, "kept_sha256": digest}
        with translated_disk_errors(self._folder / session.id):
            self._note(session.id, noted)

    def remove(self, session_id: str) -> None:
        """Forget a session."""
        self._part(session_id).unlink(missing_ok=True)
        self._notes(session_id).unlink(missing_ok=True)

    def expire(self, before: float) -> None:
        """Forget the sessions to which nothing has happened since."""
        newest: dict[str, float] = {}
        for path in self._folder.iterdir():
            try:
                changed_at = path.stat().st_mtime
            except FileNotFoundError:
                continue
            newest[path.name] = changed_at
        for name, changed_at in newest.items():
            session_id = name.partition(".")[0]
            siblings = (self._part(session_id).name, self._notes(session_id).name)
            if max(changed_at, *(newest.get(each, 0.0) for each in siblings)) < before:
                (self._folder / name).unlink(missing_ok=True)

    def _content(self, session_id: str, noted: dict[str, Any]) -> tuple[int, float]:
        try:
            status = self._part(session_id).stat()
        except FileNotFoundError:
            if "kept_sha256" not in noted:
                raise _not_found() from None
            return noted["size_bytes"], self._notes(session_id).stat().st_mtime
        return status.st_size, status.st_mtime

    def _noted(self, session_id: str) -> dict[str, Any]:
        if not _ID.fullmatch(session_id):
            raise _not_found()
        try:
            noted: dict[str, Any] = json.loads(self._notes(session_id).read_bytes())
        except (FileNotFoundError, ValueError):
            raise _not_found() from None
        return noted

    def _note(self, session_id: str, noted: dict[str, Any]) -> None:
        """Whole or not at all, and so that it lasts."""
        with written_whole(self._notes(session_id)) as file:
            file.write(json.dumps(noted).encode())

    def _part(self, session_id: str) -> Path:
        return self._folder / f"{session_id}.part"

    def _notes(self, session_id: str) -> Path:
        return self._folder / f"{session_id}.json"


def _not_found() -> UploadNotFound:
    return UploadNotFound("There is no such upload session, or its time is over; begin a new one.")
