"""The S3 sink: outputs as objects, handed over as presigned or public URLs."""

import time
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlsplit

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from ..errors import (
    Detail,
    InputUrlRefused,
    InvalidInput,
    InvalidSettings,
    OutputUnavailable,
    StorageUnreachable,
)
from ..ids import JobId
from ..jobs.cancel import CancelToken
from ..jobs.ports import Bucket, Delivered, OutputFile
from ..jobs.request import S3Config
from ..s3 import REQUEST, S3Connection, connect, is_transient
from ..s3_cutoff import Cutoff
from .naming import KeyTemplate, TakenNames

# Seven days: what the old worker gave, and the most that signature version 4 allows.
MAX_URL_EXPIRY_S = 604_800
_RETRY_LIMIT_S = 30.0
# What an upload to a bucket of the request's own may take: so long, and as long as its size takes at this rate.
_UPLOAD_LIMIT_S = 60.0
_LEAST_BYTES_PER_S = 250_000


class S3Sink:
    """Puts files into one bucket. Transient refusals are repeated within a time limit, denials are not.

    After an outage that outlasted the limit, files get one try each for as long again, so that a job with
    many outputs does not wait for each of them. With `upload_limit_s` an upload is cut when it takes longer (and
    than its size accounts for), and no other is begun after that.
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
        upload_limit_s: float | None = None,
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
        self._upload_limit_s = upload_limit_s
        self._clock = clock
        self._outage_until = clock()
        self._too_slow = False

    def put(self, job_id: JobId, file: OutputFile, cancel: CancelToken | None = None) -> Delivered:
        """The object's URL. Raises StorageUnreachable, OutputUnavailable, or the reason of the cancel."""
        key = self._names.claim(job_id, self._template.key(job_id, file), file)
        if not file.path.is_file():
            raise OutputUnavailable(f"The output {file.filename} is no longer where it was fetched to.")
        cutoff = Cutoff(cancel or CancelToken(), self._limit_s(file))
        try:
            with self._connection.translated(f"upload {file.filename} to bucket {self._connection.location.bucket}"):
                self._upload(file, key, cutoff)
                url = self._url(key)
        except StorageUnreachable as error:
            self._too_slow = self._too_slow or cutoff.expired
            if error.__cause__ and is_transient(error.__cause__):
                self._outage_until = self._clock() + self._retry_limit_s
            raise
        self._outage_until = self._clock()
        return Delivered("s3_url", url)

    def _limit_s(self, file: OutputFile) -> float | None:
        return None if self._upload_limit_s is None else self._upload_limit_s + file.size_bytes / _LEAST_BYTES_PER_S

    def _upload(self, file: OutputFile, key: str, cutoff: Cutoff) -> None:
        if self._too_slow:
            raise StorageUnreachable("it was given up when an earlier upload took too long")
        limit_s = 0.0 if self._clock() < self._outage_until else self._retry_limit_s
        retrying = Retrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_delay(limit_s),
            wait=wait_random_exponential(0.2, max=5),
            sleep=cutoff.pause,
            reraise=True,
        )
        self._connection.prepare()
        with cutoff:
            retrying(self._connection.upload, file.path, key, file.mime_type)

    def _url(self, key: str) -> str:
        if self._public_url:
            return f"{self._public_url}/{quote(key, safe='/~')}"
        return self._connection.presigned_url(key, self._url_expiry_s)


class RequestBuckets:
    """Makes the sink for the bucket a request brings along; the worker's own template applies there too.

    `resolve` gives the addresses of a host name and may refuse them (InputUrlRefused): it is asked before the run,
    and again for each request, which goes to what it gave and nowhere else.
    """

    def __init__(
        self,
        *,
        key_template: str = "{job_id}/{filename}",
        url_expiry_s: int = MAX_URL_EXPIRY_S,
        retry_limit_s: float = _RETRY_LIMIT_S,
        upload_limit_s: float = _UPLOAD_LIMIT_S,
        resolve: Callable[[str, int], Sequence[str]] | None = None,
    ) -> None:
        self._key_template = key_template
        self._url_expiry_s = url_expiry_s
        self._retry_limit_s = retry_limit_s
        self._upload_limit_s = upload_limit_s
        self._resolve = resolve

    def __call__(self, config: S3Config) -> Bucket:
        """The sink. Raises InvalidInput when the configuration cannot be used."""
        connection = connect(
            config.endpoint_url,
            config.access_key_id,
            config.secret_access_key,
            config.bucket_name,
            config.region,
            asker=REQUEST,
            resolve=self._resolve,
        )
        self._check(connection.location.endpoint)
        try:
            return S3Sink(
                connection,
                key_template=self._key_template,
                key_prefix=config.prefix or "",
                url_expiry_s=self._url_expiry_s,
                retry_limit_s=self._retry_limit_s,
                upload_limit_s=self._upload_limit_s,
            )
        except InvalidSettings as error:
            raise REQUEST.refuse("s3Config.prefix", error.message) from None

    def _check(self, endpoint: str) -> None:
        if self._resolve is None:
            return
        parts = urlsplit(endpoint)
        try:
            self._resolve(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        except InputUrlRefused as error:
            message = f"The S3 endpoint of the job cannot be used: {error.message}."
            detail = Detail(field="s3.endpoint_url", code="endpoint_refused", message=message)
            raise InvalidInput(message, [detail]) from None
        except OSError:
            return  # a name that does not resolve is the upload's to report
