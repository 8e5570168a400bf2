"""A receiver of webhooks over real HTTP: notes what comes, answers as scripted."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook
from support.waiting import wait_for

Reply = tuple[int, dict[str, str]]


@dataclass(frozen=True)
class Received:
    """One request as it arrived; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verify(self, secret: str | bytes) -> object:
        """The event; raises when the signature is not by this secret, or the time is not now."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """`replies` are used up in order, then everything is answered with `reply`."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    reply: Callable[[Received], Reply] = lambda received: (204, {})
    # Requests to /hang are answered when this is set: at the end of the test.
    released: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def wait(self, count: int = 1) -> list[Received]:
        """The requests, once there are so many."""
        wait_for(lambda: len(self.received) >= count, f"{count} webhooks")
        return list(self.received)

    def ids(self) -> list[str]:
        return [each.id for each in self.received]


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            receiver.received.append(found)
            if self.path.startswith("/hang"):
                receiver.released.wait(60)
            status, headers = receiver.replies.pop(0) if receiver.replies else receiver.reply(found)
            with contextlib.suppress(OSError):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.released.set()
            server.shutdown()
            thread.join()
