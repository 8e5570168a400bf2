"""A loopback web server whose answers are scripted per path, byte by byte where a test wants it."""

import contextlib
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

HOST = "files.test"


@dataclass
class Visit:
    """A request as it arrived, and the means to answer it byte by byte."""

    target: str
    headers: dict[str, str]
    send: Callable[[bytes], None]
    number: int
    released: threading.Event


@dataclass
class Site:
    """A loopback server whose answers are scripted per path."""

    port: int = 0
    pages: dict[str, Callable[[Visit], None]] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)
    # Set at the end of the test: what answers that wait for ever wait for.
    released: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, host: str = HOST, scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def paths(self) -> list[str]:
        return [visit.target for visit in self.visits]


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        site: Site = self.server.site  # type: ignore[attr-defined]
        target = self.rfile.readline().decode().split(" ")[1]
        lines = iter(lambda: self.rfile.readline().decode().strip(), "")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        visit = Visit(target, headers, self.wfile.write, len(site.visits), site.released)
        site.visits.append(visit)
        with contextlib.suppress(OSError):
            site.pages[target.partition("?")[0]](visit)


@contextlib.contextmanager
def serving(address: str = "127.0.0.1", tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Site]:
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        site = Site()

        def get_request(self) -> Any:
            connection, client = super().get_request()
            return (tls.wrap_socket(connection, server_side=True) if tls else connection), client

        def handle_error(self, request: Any, client_address: Any) -> None: ...

    with Server((address, port), Handler) as server:
        server.site.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.site
        finally:
            server.site.released.set()
            server.shutdown()
            thread.join()


def answer(body: bytes = b"content", status: str = "200 OK", **headers: str) -> Callable[[Visit], None]:
    lines = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return lambda visit: visit.send(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)


def redirect(location: str, status: str = "302 Found") -> Callable[[Visit], None]:
    return answer(b"", status, Location=location)


def in_turn(*answers: Callable[[Visit], None]) -> Callable[[Visit], None]:
    return lambda visit: answers[min(visit.number, len(answers) - 1)](visit)


def drip(head: bytes, piece: bytes) -> Callable[[Visit], None]:
    """Never quiet for long, never done: no read ever times out."""

    def page(visit: Visit) -> None:
        visit.send(head)
        while not visit.released.wait(0.02):
            visit.send(piece)

    return page
