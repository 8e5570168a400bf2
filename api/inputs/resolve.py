"""From what a request says about its files to checked files on disk."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from ..errors import InputUnavailable, InputUrlRefused, InvalidInput, InvalidInputFile
from ..jobs.cancel import CancelToken
from ..jobs.ports import InputFile
from ..jobs.quoting import listed, quote
from ..jobs.request import ImageSpec
from .addresses import AddressGuard, Lookup, system_lookup
from .deadline import Deadline
from .decode import decode, inline, url_scheme
from .download import Downloader
from .findings import not_usable, url_refused, url_unavailable
from .formats import check_format
from .media import check_media
from .policy import InputPolicy
from .spool import SizeLimit, Spool

__all__ = ["InputPolicy", "InputResolver", "OpenS3"]

_CHUNK_BYTES = 1024 * 1024
NOTHING: Mapping[str, Path] = MappingProxyType({})

OpenS3 = Callable[[str, str], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class _Origin:
    """What holds for all sources of one job. `types` are those of contents that passed, by how they were checked."""

    cancel: CancelToken
    held: Mapping[str, Path]
    deadline: Deadline
    types: dict[tuple[object, ...], str]


class InputResolver:
    """Fetches and checks the files of jobs. Safe to share between threads."""

    def __init__(self, policy: InputPolicy, open_s3: OpenS3 | None = None, lookup: Lookup = system_lookup) -> None:
        self._policy = policy
        self._open_s3 = open_s3
        guard = AddressGuard(policy.allow_private, policy.allowed_hosts, lookup)
        self._downloader = Downloader(policy, guard)

    def resolve(
        self, specs: Sequence[ImageSpec], workdir: Path, cancel: CancelToken, held: Mapping[str, Path] = NOTHING
    ) -> tuple[InputFile, ...]:
        """One file per name, below `workdir`; equal content lies there once. Blocks while it downloads.

        `held` maps sources to local files; they are copied, and checked like any other.

        Raises an InvalidInput with the findings about all files, or at once when a source is not available.
        """
        files: dict[str, InputFile] = {}
        by_hash: dict[str, Path] = {}
        refused: list[InvalidInput] = []
        left = self._policy.max_total_bytes
        origin = _Origin(cancel, held, Deadline(self._policy.total_timeout_s), {})
        for index, spec in enumerate(specs):
            cancel.raise_if_set()
            try:
                file = self._resolve_one(spec, workdir / f"input-{index}", left, origin)
                _check_same(spec, file, files.get(spec.name))
            except InvalidInput as error:
                refused.append(error)
                continue
            left -= file.size_bytes
            files[spec.name] = _deduplicated(file, by_hash)
        if refused:
            raise _joined(refused)
        return tuple(files.values())

    def keep(self, spec: ImageSpec, path: Path) -> bool:
        """Write a source that holds its content to `path`, checked; False when it is a URL and has to be fetched.

        Raises an InvalidInput.
        """
        if url_scheme(spec.source) is not None:
            return False
        origin = _Origin(CancelToken(), NOTHING, Deadline(self._policy.total_timeout_s), {})
        self._resolve_one(spec, path, self._policy.max_total_bytes, origin)
        return True

    def check(self, spec: ImageSpec, path: Path) -> None:
        """Hold a local file against what applies to the source it stands for. Raises an InvalidInput."""
        limit = self._limit(spec, self._policy.max_total_bytes)
        limit.check(path.stat().st_size)
        self._checked_type(spec, path, "", CancelToken())

    def _limit(self, spec: ImageSpec, left: int) -> SizeLimit:
        """The narrowest of the limits on one file."""
        field = f"{spec.field}.image"
        limits = [
            SizeLimit(field, self._policy.max_file_bytes, "MAX_INPUT_FILE_MB"),
            SizeLimit(field, left, "MAX_INPUT_TOTAL_MB"),
        ]
        if spec.max_bytes is not None:
            limits.append(SizeLimit(field, spec.max_bytes, ""))
        return min(limits, key=lambda limit: limit.max_bytes)

    def _checked_type(self, spec: ImageSpec, path: Path, declared: str, cancel: CancelToken) -> str:
        field = f"{spec.field}.image"
        if spec.formats is not None:
            check_format(path, spec.formats, field)
        return check_media(path, spec.name, declared, self._policy.max_pixels, field, cancel)

    def _resolve_one(self, spec: ImageSpec, path: Path, left: int, origin: "_Origin") -> InputFile:
        limit = self._limit(spec, left)
        if spec.source in origin.held:
            spool, declared = _copied(origin.held[spec.source], path, limit), ""
        else:
            spool, declared = self._written(spec.source, path, limit, origin)
        alike = (spool.sha256, PurePosixPath(spec.name).suffix.lower(), declared, spec.formats)
        if alike not in origin.types:
            origin.types[alike] = self._checked_type(spec, path, declared, origin.cancel)
        return InputFile(spec.name, path, origin.types[alike], spool.size_bytes, spool.sha256)

    def _written(self, source: str, path: Path, limit: SizeLimit, origin: "_Origin") -> tuple[Spool, str]:
        scheme = url_scheme(source)
        if scheme is None:
            content = inline(source, limit.field)
            with Spool(path, limit) as spool:
                decode(content, spool, limit.field)
            return spool, content.media_type
        if not self._policy.urls:
            raise url_refused(limit.field, "this worker takes no URLs (setting INPUT_URLS); send the content as base64")
        if scheme == "s3":
            return self._from_s3(source.strip(), path, limit, origin), ""
        fetched = self._downloader.fetch(source, path, limit, origin.cancel, origin.deadline)
        if not fetched.spool.size_bytes:
            raise not_usable(limit.field, "the file behind the URL is empty", "empty_file")
        return fetched.spool, fetched.media_type

    def _from_s3(self, url: str, path: Path, limit: SizeLimit, origin: "_Origin") -> Spool:
        bucket, _, key = url.partition("://")[2].partition("/")
        if not (bucket and key):
            raise url_refused(limit.field, "an s3 URL must look like s3://bucket/key")
        if self._open_s3 is None:
            raise url_refused(
                limit.field, "s3 URLs need the worker's own S3 settings (BUCKET_ENDPOINT_URL and its keys)"
            )
        try:
            with Spool(path, limit) as spool, contextlib.closing(_chunks(self._open_s3, bucket, key)) as chunks:
                for chunk in chunks:
                    origin.cancel.raise_if_set()
                    origin.deadline.left_s()
                    spool.write(chunk)
        except InputUrlRefused as error:
            raise url_refused(limit.field, error.message) from error
        except InputUnavailable as error:
            raise url_unavailable(limit.field, error, error.message) from error
        if not spool.size_bytes:
            raise not_usable(limit.field, "the object behind the URL is empty", "empty_file")
        return spool


def _copied(source: Path, path: Path, limit: SizeLimit) -> Spool:
    try:
        with source.open("rb") as content, Spool(path, limit) as spool:
            while chunk := content.read(_CHUNK_BYTES):
                spool.write(chunk)
    except FileNotFoundError as error:
        raise InputUnavailable(f"{limit.field}: the file the worker kept for it is gone.") from error
    return spool


def _chunks(open_s3: OpenS3, bucket: str, key: str) -> Generator[bytes, None, None]:
    yield from open_s3(bucket, key)


def _check_same(spec: ImageSpec, file: InputFile, earlier: InputFile | None) -> None:
    if earlier and earlier.sha256 != file.sha256:
        reason = f"another file of the job has the name {quote(spec.name)} and other content; give each its own name"
        raise not_usable(f"{spec.field}.name", reason, "duplicate_name")


def _deduplicated(file: InputFile, by_hash: dict[str, Path]) -> InputFile:
    kept = by_hash.setdefault(file.sha256, file.path)
    if kept == file.path:
        return file
    file.path.unlink(missing_ok=True)
    return replace(file, path=kept)


def _joined(errors: list[InvalidInput]) -> InvalidInput:
    """The one error, or all of them as one: of their common kind, else InvalidInputFile."""
    if len(errors) == 1:
        return errors[0]
    kinds = {type(error) for error in errors}
    kind = kinds.pop() if len(kinds) == 1 else InvalidInputFile
    return kind(listed([error.message for error in errors]), [detail for error in errors for detail in error.details])
