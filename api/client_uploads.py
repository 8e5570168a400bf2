"""Large inputs sent ahead of a job, in pieces, going on from what has arrived when a connection breaks."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import requests

from .client_http import Http, Unreachable, passing, refusal
from .client_inputs import Source

_PIECE_BYTES = 16_000_000
_CONFLICT = 409


def upload(http: Http, source: Source) -> str:
    """Send a file or bytes; the reference that `images` takes in its place. What the worker has already is not sent.

    Raises Refused, Unreachable, OSError.
    """
    with _opened(source) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        size = file.seek(0, io.SEEK_END)
        state = http.json("POST", "uploads", params={"sha256": digest, "size": size})
        failures = 0
        while not state.get("ref"):
            before = state["offset_bytes"]
            state = _send_piece(http, file, state)
            failures = 0 if state.get("ref") or state["offset_bytes"] > before else failures + 1
            if failures > http.retries:
                raise Unreachable("The upload broke off again and again; what has arrived is kept for a day.")
            if failures:
                http.pause(failures - 1)
    return str(state["ref"])


def _send_piece(http: Http, file: IO[bytes], state: Mapping[str, Any]) -> Any:
    """How far the session is after one more try."""
    path = f"uploads/sessions/{state['session_id']}"
    file.seek(state["offset_bytes"])
    headers = {"Content-Type": "application/octet-stream", "Upload-Offset": str(state["offset_bytes"])}
    try:
        with http.once("PATCH", path, data=file.read(_PIECE_BYTES), headers=headers) as response:
            if response.status_code < 400:
                return response.json()
            refused = refusal(response)
    except (requests.RequestException, ValueError):
        return http.json("GET", path)  # only the worker knows how much of it arrived
    if refused.status == _CONFLICT or passing(refused):
        return http.json("GET", path)
    raise refused


def _opened(source: Source) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")
