"""Server-sent events on the wire: how a stream begins, is kept alive, and ends when the server stops. Knows no job."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from ..logs import get_logger

PING_S = 15.0
MAX_ID = 100
_RETRY_MS = 2000
# A reader whose connection takes nothing for so long is gone, whatever its TCP says.
_SEND_TIMEOUT_S = 60.0
# How long a stream may take to say goodbye when the server stops.
_GOODBYE_S = 2.0
_GOODBYE = "The server stops; come back."

# None whenever some time has passed without an event: what makes them is asked often whether it shall end.
Events = AsyncGenerator[ServerSentEvent | None, None]

log = get_logger()


class EventStream(EventSourceResponse):
    """Events on the wire, with a goodbye when the server stops."""

    media_type = "text/event-stream"

    def __init__(self, events: Events, ping_s: float = PING_S) -> None:
        self._stopping = anyio.Event()
        super().__init__(
            self._written(events),
            headers={"Cache-Control": "no-cache"},
            ping=ping_s,
            ping_message_factory=lambda: ServerSentEvent(comment="ping", sep="\n"),
            sep="\n",
            send_timeout=_SEND_TIMEOUT_S,
            shutdown_event=self._stopping,
            shutdown_grace_period=_GOODBYE_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("A reader of events took nothing any more", seconds=_SEND_TIMEOUT_S)

    async def _written(self, events: Events) -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(retry=_RETRY_MS, sep="\n")
        async with aclosing(events):
            async for event in events:
                if event is not None:
                    yield event
                if self._stopping.is_set():
                    yield ServerSentEvent(comment=_GOODBYE, sep="\n")
                    return
