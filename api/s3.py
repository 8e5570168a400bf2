"""One connection to one S3 bucket, for inputs and outputs alike. Speaks boto3 and translates its errors."""

import socket
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .errors import InputNotFound, InputUnavailable, InputUrlRefused, StorageUnreachable, WorkerError
from .s3_address import REQUEST, SETTINGS, Asker, S3Location, parse_endpoint
from .s3_upload import put_file

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from .s3_session import Resolve

__all__ = ["REQUEST", "SETTINGS", "Asker", "S3Connection", "S3Location", "connect", "is_transient", "parse_endpoint"]

_CHUNK_BYTES = 1024 * 1024
_CONNECT_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 60.0
_REQUEST_ATTEMPTS = 3
_MAX_CLIENTS = 8
_MAX_CONNECTIONS = 16
_TRANSIENT_CODES = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "InternalError"}
_ADVICE = {
    "NoSuchBucket": "the bucket does not exist; check its name and the endpoint",
    "NoSuchKey": "the object does not exist",
    "AccessDenied": "access denied; the key needs s3:PutObject and s3:GetObject there",
    "InvalidAccessKeyId": "the access key id is unknown there",
    "SignatureDoesNotMatch": "the secret access key does not fit the access key id",
    "AuthorizationHeaderMalformed": "the region is wrong; set {region}",
    "PermanentRedirect": "the bucket lives in another region; set {region}",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
    "ExpiredToken": "the credentials have expired",
    "QuotaExceeded": "the storage's quota is used up",
    "403": "access denied; check the keys and their rights",
    "404": "not found; check bucket and key",
}


@dataclass(frozen=True, slots=True)
class _Account:
    """What makes two connections share a client."""

    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    connect_timeout_s: float
    read_timeout_s: float
    resolve: "Resolve | None" = field(repr=False)


class S3Connection:
    """A bucket with the keys to it. Cheap to make: the client behind it is made on first use and shared."""

    def __init__(self, location: S3Location, account: _Account, asker: Asker) -> None:
        self.location = location
        self._account = account
        self._asker = asker

    def prepare(self) -> None:
        """Make the client now, so that its making (a second on a busy machine) is no part of a transfer's time."""
        _client_for(self._account)

    def upload(self, path: Path, key: str, content_type: str) -> None:
        """Put one file, in parts when it is large. Raises botocore's own errors: the caller decides on repeats.

        Inside a Cutoff also the reason it has ended for.
        """
        put_file(self.client, path, self.location.bucket, key, content_type)

    def delete(self, key: str) -> None:
        """Remove an object, if it is there. Raises botocore's own errors."""
        self.client.delete_object(Bucket=self.location.bucket, Key=key)

    def presigned_url(self, key: str, expires_s: int) -> str:
        """A URL that reads the object until it expires. A secret: never log it."""
        params = {"Bucket": self.location.bucket, "Key": key}
        return self.client.generate_presigned_url("get_object", Params=params, ExpiresIn=expires_s)

    def check_own(self, bucket: str, key: str) -> None:
        """Raises InputUrlRefused for another bucket, or for a key that a server in between might resolve to another.

        The worker's keys may open other buckets, which no caller shall reach through it.
        """
        if bucket != self.location.bucket:
            raise InputUrlRefused("s3 URLs are taken from the worker's own bucket only; send an http(s) URL instead")
        if not key or any(part in {".", ".."} for part in key.split("/")):
            raise InputUrlRefused("an s3 URL needs a key, without . or .. in it")

    def open_object(self, bucket: str, key: str) -> Iterator[bytes]:
        """The content of an object in chunks; any bucket these keys can read. Raises InputUnavailable."""
        try:
            with self.translated(f"read s3://{bucket}/{key}", InputUnavailable):
                body = self.client.get_object(Bucket=bucket, Key=key)["Body"]
        except InputUnavailable as error:
            if error.__cause__ and _answer(error.__cause__)[1] == 404:
                raise InputNotFound(error.message) from error.__cause__
            raise
        return self._chunks(body, f"read s3://{bucket}/{key}")

    def _chunks(self, body: Any, doing: str) -> Iterator[bytes]:
        with self.translated(doing, InputUnavailable):
            try:
                yield from body.iter_chunks(_CHUNK_BYTES)
            finally:
                body.close()

    @property
    def client(self) -> "S3Client":
        """The shared boto3 client."""
        return _client_for(self._account)

    @contextmanager
    def translated(self, doing: str, into: type[WorkerError] = StorageUnreachable) -> Iterator[None]:
        """Turn what botocore raises inside the block into `into`: no secrets, no signed URLs in its message."""
        from botocore.exceptions import BotoCoreError, ClientError

        host = urlsplit(self.location.endpoint).netloc
        try:
            yield
        except StorageUnreachable as error:
            raise into(f"Could not {doing} at {host}: {error.message}.") from error
        # Names that do not resolve or encode, and redirects in a circle, come through botocore as they are.
        except (BotoCoreError, ClientError, UnicodeError, RecursionError, socket.gaierror) as error:
            raise into(f"Could not {doing} at {host}: {self._reason(error)}.") from error

    def _reason(self, error: BaseException) -> str:
        code, status = _answer(error)
        if code is None:
            return f"no usable answer ({type(error).__name__}); check the endpoint and that it can be reached"
        advice = _ADVICE.get(code) or _ADVICE.get(str(status))
        said = f"HTTP {status} {code}" if code != str(status) else f"HTTP {status}"
        return f"{said}, {advice.format(region=self._asker.region)}" if advice else said


def connect(
    endpoint_url: str | None,
    access_key_id: str | None,
    secret_access_key: str | None,
    bucket_name: str | None = None,
    region: str | None = None,
    *,
    asker: Asker = SETTINGS,
    connect_timeout_s: float = _CONNECT_TIMEOUT_S,
    read_timeout_s: float = _READ_TIMEOUT_S,
    resolve: "Resolve | None" = None,
) -> S3Connection:
    """Check a configuration without touching the network. Raises the asker's error when it is not whole.

    With `resolve` connections go to the addresses it gives and to no other host, whatever the storage answers.
    """
    needed = {
        asker.url: endpoint_url,
        asker.access_key_id: access_key_id,
        asker.secret_access_key: secret_access_key,
    }
    missing = [name for name, value in needed.items() if not value]
    if not endpoint_url or not access_key_id or not secret_access_key:
        raise asker.refuse(missing[0], f"S3 is configured by half: {', '.join(missing)} missing.")
    for name, key in ((asker.access_key_id, access_key_id), (asker.secret_access_key, secret_access_key)):
        # They travel in HTTP headers, where anything else fails late and obscurely.
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise asker.refuse(name, f"{name} holds characters no key has.")
    location = parse_endpoint(endpoint_url, bucket_name or None, region or None, asker)
    account = _Account(
        location.endpoint,
        location.region,
        access_key_id,
        secret_access_key,
        connect_timeout_s,
        read_timeout_s,
        resolve,
    )
    return S3Connection(location, account, asker)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later. Takes botocore's errors, before translation."""
    from botocore.exceptions import ClientError, ConnectionError, HTTPClientError, IncompleteReadError, SSLError

    if isinstance(error, ClientError):
        code, status = _answer(error)
        return code in _TRANSIENT_CODES or status == 429 or status >= 500
    lost = isinstance(error, HTTPClientError | ConnectionError | IncompleteReadError)
    return lost and not isinstance(error, SSLError)


def _answer(error: BaseException) -> tuple[str | None, int]:
    response: Any = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None, 0
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(response.get("Error", {}).get("Code") or status), int(status)


_lock = threading.Lock()
# botocore's session, and boto3's around it: making the second one twice for the first is an error.
_settings: Any = None
_clients: "OrderedDict[_Account, S3Client]" = OrderedDict()


def _client_for(account: _Account) -> "S3Client":
    # One session for all: making a client is not thread-safe, and each session holds megabytes of service models.
    with _lock:
        client = _clients.get(account) or _make_client(account)
        _clients[account] = client
        _clients.move_to_end(account)
        while len(_clients) > _MAX_CLIENTS:
            _clients.popitem(last=False)
        return client


def _make_client(account: _Account) -> "S3Client":
    global _settings  # noqa: PLW0603 - the one cached session
    import boto3
    import botocore.session
    from botocore.config import Config

    from .s3_session import Session

    if _settings is None:
        core = botocore.session.get_session()
        _settings = core, boto3.Session(botocore_session=core)
    core, maker = _settings
    config = Config(
        signature_version="s3v4",
        retries={"mode": "standard", "total_max_attempts": _REQUEST_ATTEMPTS},
        # R2, GCS and older MinIO refuse boto's newer default checksums and host-style buckets.
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client: S3Client = maker.client(
        "s3",
        endpoint_url=account.endpoint,
        region_name=account.region,
        aws_access_key_id=account.access_key_id,
        aws_secret_access_key=account.secret_access_key,
        config=config,
    )
    session = Session(
        account.endpoint,
        ca_bundle=core.get_config_variable("ca_bundle"),
        timeout_s=(account.connect_timeout_s, account.read_timeout_s),
        max_connections=_MAX_CONNECTIONS,
        resolve=account.resolve,
    )
    # What a handler of this event returns is taken for the answer, and botocore's own transport is left out.
    client.meta.events.register("before-send.s3", lambda request, **_: session.send(request))  # type: ignore[arg-type]
    return client
