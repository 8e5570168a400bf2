"""Requests to the endpoints a run brings along: to checked addresses only, bounded, tried a few times."""

import contextlib
import http.client
import json
import random
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DeliveryFailed, InputUnavailable, InputUrlRefused
from ..inputs.addresses import AddressGuard
from ..inputs.transfer import Cutoff, PinnedConnection, default_tls
from ..inputs.web_address import WebAddress
from ..jobs.cancel import CancelToken

_TRIES = 4
_FIRST_PAUSE_S = 0.5
_CONNECT_S = 5.0
_MOST_BYTES = 1_000_000
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_AGENT = {"User-Agent": "comfyui-worker", "Connection": "close"}


@dataclass(frozen=True, slots=True)
class _Ask:
    """A request; a body that is a path is sent from the file."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | Path | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes


class Door:
    """Any thread may use it. `timeout_s` bounds a small request, `upload_s` a file."""

    def __init__(
        self,
        guard: AddressGuard,
        *,
        timeout_s: float = 20.0,
        upload_s: float = 600.0,
        pause_s: float = _FIRST_PAUSE_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._guard = guard
        self._timeout_s = timeout_s
        self._upload_s = upload_s
        self._pause_s = pause_s
        self._tls = tls

    def post(self, url: str, token: str | None, content: Mapping[str, Any]) -> None:
        """Send JSON. Raises DeliveryFailed when it was not taken."""
        headers = {**_bearer(token), "Content-Type": "application/json"}
        self._tried(_Ask("POST", url, headers, json.dumps(content).encode()), CancelToken())

    def get(self, url: str, token: str | None, cancel: CancelToken) -> dict[str, Any]:
        """A JSON object. Raises DeliveryFailed, the reason of the cancel."""
        answer = self._tried(_Ask("GET", url, _bearer(token)), cancel)
        try:
            content = json.loads(answer.body)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise DeliveryFailed("ComfyUI Deploy does not say where files go.")
        return content

    def put(self, url: str, headers: Mapping[str, str], path: Path, cancel: CancelToken) -> None:
        """Send a file. Raises DeliveryFailed, the reason of the cancel."""
        self._tried(_Ask("PUT", url, headers, path), cancel)

    def _tried(self, ask: _Ask, cancel: CancelToken) -> _Answer:
        reason = ""
        stopped = threading.Event()
        cancel.on_cancel(stopped.set)
        for number in range(_TRIES):
            if number:
                stopped.wait(self._pause_s * 2**number * random.uniform(0.5, 1.0))  # noqa: S311
            cancel.raise_if_set()
            try:
                answer = self._sent(ask, cancel)
            except InputUrlRefused as error:
                raise DeliveryFailed(
                    f"ComfyUI Deploy is not told of the run: {error.message} (settings WEBHOOK_ALLOWED_HOSTS, "
                    "WEBHOOK_ALLOW_PRIVATE)."
                ) from error
            except ValueError as error:  # of http.client, for a header with a line break in it
                raise DeliveryFailed("ComfyUI Deploy has sent a token that no header can have.") from error
            except (OSError, http.client.HTTPException, InputUnavailable) as error:
                cancel.raise_if_set()
                reason = "no answer" if isinstance(error, InputUnavailable) else type(error).__name__
                continue
            if 200 <= answer.status < 300:
                return answer
            reason = f"HTTP {answer.status}"
            if answer.status not in _PASSING:
                break
        raise DeliveryFailed(f"ComfyUI Deploy does not take what it is told of the run ({ask.method}): {reason}.")

    def _sent(self, ask: _Ask, cancel: CancelToken) -> _Answer:
        address = WebAddress.parse(ask.url)
        timeout_s = self._upload_s if isinstance(ask.body, Path) else self._timeout_s
        with contextlib.ExitStack() as stack:
            cutoff = stack.enter_context(Cutoff(cancel, timeout_s))
            connection = stack.enter_context(contextlib.closing(self._connection(address, timeout_s, cutoff)))
            content: Any = ask.body
            headers = {**_AGENT, **ask.headers}
            if isinstance(ask.body, Path):
                content = stack.enter_context(ask.body.open("rb"))
                headers["Content-Length"] = str(ask.body.stat().st_size)
            try:
                connection.request(ask.method, address.target, body=content, headers=headers)
                with connection.getresponse() as response:
                    answer = _Answer(response.status, response.read(_MOST_BYTES))
                # A socket that was shut looks like the end of the answer.
                cutoff.raise_if_ended()
                return answer
            finally:
                cutoff.watch(None)

    def _connection(self, address: WebAddress, timeout_s: float, cutoff: Cutoff) -> PinnedConnection:
        addresses = self._guard.addresses(address.host, address.port)[:4]
        return PinnedConnection(
            address.host,
            address.port,
            tls=(self._tls or default_tls()) if address.scheme == "https" else None,
            addresses=addresses,
            connect_timeout_s=_CONNECT_S,
            read_timeout_s=timeout_s + 1,
            cutoff=cutoff,
        )


def _bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}
