"""A real S3 endpoint for tests: moto in a process of its own, behind a front that can be told to misbehave."""

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

import boto3.session
from botocore.config import Config

ACCESS_KEY_ID, SECRET_ACCESS_KEY = "AKIATESTKEY", "test-secret-never-shown"
REGION = "us-east-1"

_MOTO = """
import sys, warnings
warnings.simplefilter("ignore")
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # ends with the parent, however the parent ends
"""
_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>scripted</Message></Error>"
_HOP_HEADERS = {"connection", "transfer-encoding", "expect", "host", "content-length", "date", "server"}


@dataclass(frozen=True)
class Seen:
    """One request as it arrived at the front."""

    method: str
    path: str
    headers: dict[str, str]
    status: int | None


class S3Server:
    """`with S3Server() as server:` - `.url` is the front's address; it passes everything on until told otherwise."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self._lock = threading.Lock()
        self._faults: list[tuple[Callable[[str, str], bool], int, str, int | None]] = []
        self._open = threading.Event()
        self._open.set()
        self.held = threading.Event()
        self._held_method = ""
        self._down = False
        self._client: Any = None

    def __enter__(self) -> Self:
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": "moto", "AWS_SECRET_ACCESS_KEY": "moto"}
        self._moto = subprocess.Popen(
            [sys.executable, "-c", _MOTO],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self._moto.stdout is not None
        line = self._moto.stdout.readline()
        assert line, "moto did not start"
        self.direct_port = int(line)
        self._front = _Front(self)
        self._thread = threading.Thread(target=self._front.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()
        if self._client is not None:
            self._client.close()
        self._front.shutdown()
        self._front.server_close()
        self._thread.join()
        assert self._moto.stdin is not None and self._moto.stdout is not None
        self._moto.stdin.close()
        self._moto.wait(10)
        self._moto.stdout.close()

    @property
    def url(self) -> str:
        """The endpoint, without a bucket."""
        return f"http://127.0.0.1:{self._front.server_address[1]}"

    def client(self) -> Any:
        """The boto3 client that goes past the front, to look at what is really there."""
        if self._client is None:
            self._client = boto3.session.Session().client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{self.direct_port}",
                region_name=REGION,
                aws_access_key_id=ACCESS_KEY_ID,
                aws_secret_access_key=SECRET_ACCESS_KEY,
                config=Config(s3={"addressing_style": "path"}),
            )
        return self._client

    def create_bucket(self, name: str = "outputs", *, public: bool = False) -> str:
        """A new empty bucket, or the existing one. A public one hands objects out without a signature."""
        self.client().create_bucket(Bucket=name)
        if public:
            rule = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
            self.client().put_bucket_policy(Bucket=name, Policy=policy)
        return name

    def keys(self, bucket: str = "outputs") -> list[str]:
        """The keys in a bucket, sorted."""
        return sorted(item["Key"] for item in self.client().list_objects_v2(Bucket=bucket).get("Contents", []))

    def half_uploads(self, bucket: str = "outputs") -> list[str]:
        """The keys whose upload was begun and neither completed nor aborted."""
        return [item["Key"] for item in self.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])]

    def read(self, bucket: str, key: str) -> tuple[bytes, dict[str, Any]]:
        """An object's content and its head."""
        answer = self.client().get_object(Bucket=bucket, Key=key)
        with answer["Body"] as body:
            return body.read(), answer

    def empty(self, bucket: str = "outputs") -> None:
        """Delete what is in a bucket."""
        for key in self.keys(bucket):
            self.client().delete_object(Bucket=bucket, Key=key)

    def fail(self, times: int | None, *, status: int = 500, code: str = "InternalError", method: str = "") -> None:
        """Answer the next `times` requests (None: all) with an error, without passing them on."""
        self._faults.append((lambda verb, _path: method in ("", verb), status, code, times))

    def refuse_keys(self, part: str) -> None:
        """403 for every request whose path holds `part`."""
        self._faults.append((lambda _verb, path: part in path, 403, "AccessDenied", None))

    def hold(self, method: str = "") -> None:
        """Take requests (of one method) and keep them waiting until `release`; `held` is set when one has come."""
        self._held_method = method
        self.held.clear()
        self._open.clear()

    def release(self) -> None:
        """Let held requests go on."""
        self._open.set()

    def go_down(self) -> None:
        """Drop every connection without an answer."""
        self._down = True

    def reset(self) -> None:
        """Pass everything on again, forget the requests seen."""
        self._faults.clear()
        self._down = False
        self.requests.clear()
        self.release()

    def verdict(self, method: str, path: str) -> tuple[int, str] | None:
        """What to answer instead of passing on; waits while the front is held."""
        if not self._open.is_set() and self._held_method in ("", method):
            self.held.set()
            self._open.wait(60)
        if self._down:
            return 0, ""
        with self._lock:
            for place, (applies, status, code, times) in enumerate(self._faults):
                if times != 0 and applies(method, unquote(path)):
                    self._faults[place] = (applies, status, code, None if times is None else times - 1)
                    return status, code
        return None


class _Front(ThreadingHTTPServer):
    # A kept-alive connection of a client that was not closed must not keep the test run from ending.
    daemon_threads = True
    block_on_close = False

    def __init__(self, told: S3Server) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told = told

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Front

    def handle_expect_100(self) -> bool:
        return True  # said in _body, when it is clear that the body is wanted

    def _any(self) -> None:
        verdict = self.server.told.verdict(self.command, self.path)
        status, headers, body = 0, [], b""
        if verdict is None:
            status, headers, body = self._passed_on()
        elif verdict[0]:
            # Read first: refused in the middle of sending, a client sees a reset instead of the answer.
            self._body()
            status, headers = verdict[0], [("Content-Type", "application/xml")]
            body = _ERROR.format(code=verdict[1]).encode()
        self.server.told.requests.append(Seen(self.command, self.path, dict(self.headers), status))
        self._answer(status, headers, body)

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            raise AssertionError("chunked uploads are not what R2 and GCS take")
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _passed_on(self) -> tuple[int, list[tuple[str, str]], bytes]:
        body = self._body()
        connection = http.client.HTTPConnection("127.0.0.1", self.server.told.direct_port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_HEADERS}
            # Not the Host it was asked under: moto takes the first part of a name it does not know for a bucket.
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() not in _HOP_HEADERS:
                self.send_header(name, value)
            elif name.lower() == "content-length" and self.command == "HEAD":
                length = value
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any
