"""The S3 sink: outputs as objects, handed over as presigned or public URLs."""

import time
from collections.abc import Callable
from urllib.parse import quote

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from ..errors import InvalidSettings, OutputUnavailable, StorageUnreachable
from ..ids import JobId
from ..jobs.ports import Delivered, OutputFile, OutputSink
from ..jobs.request import S3Config
from ..s3 import REQUEST, S3Connection, connect, is_transient
from .naming import KeyTemplate, TakenNames

# Seven days: what the old worker gave, and the most that signature version 4 allows.
MAX_URL_EXPIRY_S = 604_800
_RETRY_LIMIT_S = 30.0


class S3Sink:
    """Puts files into one bucket. Transient refusals are repeated within a time limit, denials are not.

    After an outage that outlasted the limit, files get one try each for as long again, so that a job with
    many outputs does not wait for each of them.
    """

    def __init__(
        self,
        connection: S3Connection,
        *,
        key_template: str = "{job_id}/{filename}",
        key_prefix: str = "",
        url_expiry_s: int = MAX_URL_EXPIRY_S,
        public_url: str | None = None,
        retry_limit_s: float = _RETRY_LIMIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 1 <= url_expiry_s <= MAX_URL_EXPIRY_S:
            raise InvalidSettings(f"BUCKET_URL_EXPIRY_S must be 1 to {MAX_URL_EXPIRY_S} seconds.")
        self._connection = connection
        self._template = KeyTemplate(key_template, f"{connection.location.prefix}/{key_prefix}")
        self._names = TakenNames()
        self._url_expiry_s = url_expiry_s
        self._public_url = public_url.rstrip("/") if public_url else None
        self._retry_limit_s = retry_limit_s
        self._clock = clock
        self._outage_until = clock()

    def put(self, job_id: JobId, file: OutputFile) -> Delivered:
        """The object's URL. Raises StorageUnreachable or OutputUnavailable."""
        key = self._names.claim(job_id, self._template.key(job_id, file), file)
        if not file.path.is_file():
            raise OutputUnavailable(f"The output {file.filename} is no longer where it was fetched to.")
        try:
            with self._connection.translated(f"upload {file.filename} to bucket {self._connection.location.bucket}"):
                self._upload(file, key)
                url = self._url(key)
        except StorageUnreachable as error:
            if error.__cause__ and is_transient(error.__cause__):
                self._outage_until = self._clock() + self._retry_limit_s
            raise
        self._outage_until = self._clock()
        return Delivered("s3_url", url)

    def _upload(self, file: OutputFile, key: str) -> None:
        limit_s = 0.0 if self._clock() < self._outage_until else self._retry_limit_s
        retrying = Retrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_delay(limit_s),
            wait=wait_random_exponential(0.2, max=5),
            reraise=True,
        )
        retrying(self._connection.upload, file.path, key, file.mime_type)

    def _url(self, key: str) -> str:
        if self._public_url:
            return f"{self._public_url}/{quote(key, safe='/~')}"
        return self._connection.presigned_url(key, self._url_expiry_s)


class RequestBuckets:
    """Makes the sink for the bucket a request brings along; the worker's own template applies there too.

    `check_endpoint` may refuse the address (private ranges) by raising a WorkerError.
    """

    def __init__(
        self,
        *,
        key_template: str = "{job_id}/{filename}",
        url_expiry_s: int = MAX_URL_EXPIRY_S,
        retry_limit_s: float = _RETRY_LIMIT_S,
        check_endpoint: Callable[[str], None] | None = None,
    ) -> None:
        self._key_template = key_template
        self._url_expiry_s = url_expiry_s
        self._retry_limit_s = retry_limit_s
        self._check_endpoint = check_endpoint

    def __call__(self, config: S3Config) -> OutputSink:
        """The sink. Raises InvalidInput when the configuration cannot be used."""
        connection = connect(
            config.endpoint_url,
            config.access_key_id,
            config.secret_access_key,
            config.bucket_name,
            config.region,
            asker=REQUEST,
        )
        if self._check_endpoint:
            self._check_endpoint(connection.location.endpoint)
        try:
            return S3Sink(
                connection,
                key_template=self._key_template,
                key_prefix=config.prefix or "",
                url_expiry_s=self._url_expiry_s,
                retry_limit_s=self._retry_limit_s,
            )
        except InvalidSettings as error:
            raise REQUEST.refuse("s3Config.prefix", error.message) from None
