"""Reads an S3 address the ways people write it: bucket in the host, in the path or apart. Knows no SDK, no network."""

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from .errors import Detail, InvalidInput, InvalidSettings, WorkerError


class S3Location(NamedTuple):
    """Where objects go. `endpoint` has no bucket in it; `prefix` is what the URL's path held below the bucket."""

    endpoint: str
    bucket: str
    region: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Asker:
    """Who gave the address: the words to name its fields with and the error to answer with."""

    url: str
    access_key_id: str
    secret_access_key: str
    bucket: str
    region: str
    error: type[WorkerError]

    def refuse(self, field: str, message: str) -> WorkerError:
        """The error to raise, naming `field`."""
        return self.error(message, [Detail(field=field, message=message, code="invalid_s3")])


SETTINGS = Asker(
    "BUCKET_ENDPOINT_URL",
    "BUCKET_ACCESS_KEY_ID",
    "BUCKET_SECRET_ACCESS_KEY",
    "BUCKET_NAME",
    "BUCKET_REGION",
    InvalidSettings,
)
REQUEST = Asker(
    "s3Config.endpointUrl",
    "s3Config.accessId",
    "s3Config.accessSecret",
    "s3Config.bucketName",
    "s3Config.region",
    InvalidInput,
)

_OPTIONAL_BUCKET = r"^(?:(?P<bucket>.+)\.)?"
_AWS_REGION = r"(?P<region>[a-z]{2}(?:-[a-z]+)+-\d+)"
# Host name → region. A pattern without a `region` group takes the second column; the first match counts.
_PROVIDERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(_OPTIONAL_BUCKET + host + "$"), region)
    for host, region in (
        (rf"(?P<host>s3[.-](?:dualstack\.|fips\.)?{_AWS_REGION}\.amazonaws\.com(?:\.cn)?)", ""),
        (r"(?P<host>s3\.amazonaws\.com)", "us-east-1"),
        # `eu` and `fedramp` are jurisdictions that belong to the host, never accounts.
        (r"(?P<host>(?!(?:eu|fedramp)\.)[^.]+(?:\.(?:eu|fedramp))?\.r2\.cloudflarestorage\.com)", "auto"),
        (r"(?P<host>storage\.googleapis\.com)", "auto"),
        (r"(?P<host>(?P<region>[a-z]+\d+)\.digitaloceanspaces\.com)", ""),
        (r"(?P<host>(?P<region>[a-z]{2}-[a-z]+-\d+)\.linodeobjects\.com)", ""),
        (r"(?P<host>(?P<region>[a-z]+\d+)\.your-objectstorage\.com)", ""),
        (r"(?P<host>(?P<region>[a-z]+\d+)\.vultrobjects\.com)", ""),
        (r"(?P<host>s3\.wasabisys\.com)", "us-east-1"),
        (r"(?P<host>s3\.(?P<region>[a-z0-9-]+)\.(?:backblazeb2|wasabisys)\.com)", ""),
        (r"(?P<host>s3\.(?P<region>[a-z0-9-]+)\.(?:scw\.cloud|io\.cloud\.ovh\.net))", ""),
        (r"(?P<host>s3api-(?P<region>[a-z0-9-]+)\.runpod\.io)", ""),
        (r"(?P<host>(?:fly\.storage\.tigris|t3\.storage)\.dev)", "auto"),
    )
)
# S3's own default, which MinIO and other self-hosted stores accept as well.
_DEFAULT_REGION = "us-east-1"
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")


def parse_endpoint(
    url: str, bucket_name: str | None = None, region: str | None = None, asker: Asker = SETTINGS
) -> S3Location:
    """Tell endpoint, bucket, region and prefix apart. Raises the asker's error, saying what to set."""
    parts = _split(url, asker)
    if region and not _REGION.fullmatch(region):
        raise asker.refuse(asker.region, f"{asker.region}: {region!r} is not the name of a region.")
    host, host_bucket, guessed = _known_host(parts.hostname or "")
    path = [unquote(segment) for segment in parts.path.split("/") if segment]
    if any(segment in (".", "..") for segment in path):
        raise asker.refuse(asker.url, f"{asker.url}: the path must not hold '.' or '..'.")
    url_bucket = host_bucket or (path.pop(0) if path else None)
    return S3Location(
        endpoint=f"{parts.scheme}://{_with_port(host, parts)}",
        bucket=_bucket(url_bucket, bucket_name, asker),
        region=region or guessed or _DEFAULT_REGION,
        prefix="/".join(path),
    )


def _split(url: str, asker: Asker) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        bad = parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or "") or parts.port == 0
    except ValueError:
        bad = True
    if bad:
        raise asker.refuse(
            asker.url, f"{asker.url} must be a full URL like https://s3.us-east-1.amazonaws.com/my-bucket."
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise asker.refuse(
            asker.url,
            f"{asker.url} must hold only scheme, host and path; keys go into {asker.access_key_id} "
            f"and {asker.secret_access_key}.",
        )
    return parts


def _known_host(host: str) -> tuple[str, str | None, str | None]:
    """Host without the bucket, the bucket it held, the region it tells."""
    for pattern, region in _PROVIDERS:
        match = pattern.match(host)
        if match:
            found = match.groupdict()
            return found["host"], found["bucket"], found.get("region") or region
    return host, None, None


def _with_port(host: str, parts: SplitResult) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{parts.port}" if parts.port else name


def _bucket(in_url: str | None, named: str | None, asker: Asker) -> str:
    if in_url and named and in_url != named:
        raise asker.refuse(
            asker.bucket,
            f"{asker.url} holds the bucket {in_url!r} and {asker.bucket} says {named!r}: leave one of them out.",
        )
    bucket = in_url or named
    if not bucket:
        raise asker.refuse(
            asker.bucket, f"No bucket: set {asker.bucket}, or put the bucket into {asker.url} as host name or path."
        )
    if not _BUCKET.fullmatch(bucket):
        raise asker.refuse(asker.bucket, f"{bucket!r} is not a bucket name: 3 to 63 letters, digits, '.', '-', '_'.")
    return bucket
