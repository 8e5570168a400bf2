"""Secrets of jobs that wait: sealed with a key that lies beside the database, never in it."""

import base64
import json
import os
import secrets
from pathlib import Path
from typing import Any

from .errors import InvalidSettings, SecretsUnreadable

_MARK = "sealed:"


def load_key(path: Path) -> bytes:
    """The 32 bytes in `path`, made on first use and readable by its owner alone. Raises InvalidSettings."""
    try:
        if not path.exists():
            _create(path)
        key = path.read_bytes()
    except OSError as error:
        raise InvalidSettings(f"The key file {path} cannot be used: {error.strerror}.") from error
    if len(key) != 32:
        raise InvalidSettings(f"The key file {path} does not hold a key. Remove it, and a new one is made.")
    return key


def _create(path: Path) -> None:
    """Whole or not at all: another process may start at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


class Sealer:
    """Seals any JSON value into a text and back."""

    def __init__(self, key: bytes) -> None:
        self._key = base64.urlsafe_b64encode(key)

    def seal(self, value: Any) -> str:
        """The value as a text that only this key opens."""
        token: bytes = self._fernet().encrypt(json.dumps(value).encode())
        return _MARK + token.decode("ascii")

    def open(self, sealed: Any) -> Any:
        """The value of a sealed text; anything else as it is. Raises SecretsUnreadable when the key is another."""
        if not (isinstance(sealed, str) and sealed.startswith(_MARK)):
            return sealed
        from cryptography.fernet import InvalidToken

        try:
            return json.loads(self._fernet().decrypt(sealed.removeprefix(_MARK).encode()))
        except InvalidToken as error:
            raise SecretsUnreadable(
                "The key beside the database is not the one the job's secrets were sealed with: bring that one back, "
                "or submit the job again."
            ) from error

    def _fernet(self) -> Any:
        # A tenth of a second to import, and most jobs bring no secrets.
        from cryptography.fernet import Fernet

        return Fernet(self._key)
