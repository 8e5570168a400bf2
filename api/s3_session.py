"""How requests to S3 travel: over sockets that can be cut, to checked addresses only, with answers of bounded size.

Imports botocore, so it is itself imported on first use. Knows no bucket and no job.
"""

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
    AWSPreparedRequest,
    AWSResponse,
)
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

from . import s3_cutoff
from .errors import InputUrlRefused, StorageUnreachable

# Gives the addresses a host name may be reached at. Raises InputUrlRefused or OSError.
Resolve = Callable[[str, int], Sequence[str]]

# Answers to uploads are a few hundred bytes of XML.
_MAX_ANSWER_BYTES = 1024 * 1024
_pinned_to: ContextVar[Sequence[str]] = ContextVar("pinned_to", default=())


class _Cuttable:
    """What both kinds of connection add to botocore's: they go where they are pinned, and the cutoff knows them."""

    sock: socket.socket | None
    _dns_host: str

    def _new_conn(self) -> socket.socket:
        # urllib3 connects to `_dns_host`, and takes the name for TLS and for the Host header from it: put back after.
        name = self._dns_host
        failure: Exception = OSError("the name has no address")
        try:
            for address in _pinned_to.get() or (name,):
                self._dns_host = address
                try:
                    return _watched(super()._new_conn())  # type: ignore[misc]
                except (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.NewConnectionError) as error:
                    failure = error
        finally:
            self._dns_host = name
        raise failure

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Called by urllib3 on a connection that is open already or will open itself."""
        if self.sock is not None:
            _watched(self.sock)
        super().request(*args, **kwargs)  # type: ignore[misc]


class _PlainConnection(_Cuttable, AWSHTTPConnection):  # type: ignore[misc]  # the stubs' own discord
    pass


class _TlsConnection(_Cuttable, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _PlainPool(AWSHTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(AWSHTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class Session(URLLib3Session):
    """botocore's own transport. With `resolve` it goes to `endpoint` alone, at the addresses that gives."""

    def __init__(
        self,
        endpoint: str,
        *,
        ca_bundle: str | None,
        timeout_s: tuple[float, float],
        max_connections: int,
        resolve: Resolve | None = None,
    ) -> None:
        surroundings = requests.Session().merge_environment_settings(endpoint, {}, False, None, None)
        super().__init__(
            verify=ca_bundle or surroundings["verify"],  # type: ignore[arg-type]
            proxies=None if resolve else surroundings["proxies"],
            timeout=timeout_s,  # type: ignore[arg-type]  # the stubs do not know the pair
            max_pool_connections=max_connections,
        )
        self._pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
        self._manager.pool_classes_by_scheme = self._pool_classes_by_scheme  # type: ignore[attr-defined]
        self._endpoint = endpoint
        self._resolve = resolve

    def send(self, request: AWSPreparedRequest) -> AWSResponse:  # type: ignore[override]
        """Send one request. Raises botocore's errors, StorageUnreachable, or the reason the cutoff has ended."""
        cutoff = s3_cutoff.current()
        with cutoff.request() if cutoff else contextlib.nullcontext(), self._pinned(request.url):
            if request.stream_output:
                return super().send(request)
            request.stream_output = True  # read here instead, where it is bounded
            try:
                answer = super().send(request)
            finally:
                request.stream_output = False
            body = _Whole(self._read(answer))
            return AWSResponse(answer.url, answer.status_code, answer.headers, body)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def _pinned(self, url: str) -> Iterator[None]:
        if self._resolve is None:
            yield
            return
        parts, ours = urlsplit(url), urlsplit(self._endpoint)
        if (parts.scheme, parts.netloc) != (ours.scheme, ours.netloc):
            raise StorageUnreachable("it leads to another host, which is not followed")
        try:
            addresses = self._resolve(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        except InputUrlRefused as error:
            raise StorageUnreachable(error.message) from None
        except OSError as error:
            raise EndpointConnectionError(endpoint_url=url, error=error) from error
        token = _pinned_to.set(addresses)
        try:
            yield
        finally:
            _pinned_to.reset(token)

    def _read(self, answer: AWSResponse) -> bytes:
        """The whole body, which is small or refused."""
        with contextlib.closing(answer.raw) as raw:
            if self._resolve and 300 <= answer.status_code < 400:
                raise StorageUnreachable(
                    f"it redirects (HTTP {answer.status_code}), which is not followed; check endpoint and region"
                )
            try:
                body: bytes = raw.read(_MAX_ANSWER_BYTES + 1, decode_content=False)
            except urllib3.exceptions.ReadTimeoutError as error:
                raise ReadTimeoutError(endpoint_url=answer.url, error=error) from error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise ConnectionClosedError(endpoint_url=answer.url, error=error) from error
        if len(body) > _MAX_ANSWER_BYTES:
            raise StorageUnreachable("its answer is far too long for S3; check the endpoint")
        return body


class _Whole:
    """The raw side of an answer that has been read."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        yield self._body


def _watched(connection: socket.socket) -> socket.socket:
    cutoff = s3_cutoff.current()
    if cutoff:
        cutoff.watch(connection)
    return connection
