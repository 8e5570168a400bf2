"""Models being fetched into their folders: a few at a time, each checked before it gets its name."""

import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath

from ..errors import (
    Detail,
    DownloadNotFound,
    InternalError,
    InvalidInput,
    InvalidInputFile,
    ModelExists,
    QueueFull,
    WorkerError,
    WorkerStopping,
)
from ..jobs.cancel import CancelToken
from ..jobs.files import sync
from ..jobs.names import fault_of_name
from ..logs import get_logger
from . import safetensors
from .fetch import ModelFetcher
from .files import FoundFile
from .folders import PICKLES, SAFE, ModelFolders
from .hashes import HashBook
from .part import Part
from .source import Source, Sources

_AT_ONCE = 2
_MAX_WAITING = 100
_REMEMBERED = 200
_MAX_DEPTH = 4

log = get_logger()


class DownloadStatus(StrEnum):
    """Where a download stands."""

    QUEUED = "queued"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


_ENDED = {DownloadStatus.COMPLETED, DownloadStatus.FAILED, DownloadStatus.CANCELLED}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller wants. `name` may have subfolders; None takes the URL's. `sha256` is what it has to be."""

    url: str
    type: str
    name: str | None = None
    sha256: str | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Download:
    """One download as it stands. `url` is without its query; times are epoch seconds."""

    id: str
    url: str
    type: str
    name: str
    created_at: float
    status: DownloadStatus = DownloadStatus.QUEUED
    done_bytes: int = 0
    total_bytes: int | None = None
    sha256: str | None = None
    error: WorkerError | None = None
    finished_at: float | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in _ENDED


class Downloads:
    """Safe to share between threads. What is fetched is remembered by this process only; parts outlast it."""

    def __init__(
        self,
        sources: Sources,
        folders: ModelFolders,
        fetcher: ModelFetcher,
        book: HashBook,
        *,
        pickles: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sources = sources
        self._folders = folders
        self._fetcher = fetcher
        self._book = book
        self._suffixes = SAFE | PICKLES if pickles else SAFE
        self._clock = clock
        self._turns = threading.Semaphore(_AT_ONCE)
        self._lock = threading.Lock()
        self._downloads: dict[str, Download] = {}
        self._tokens: dict[str, CancelToken] = {}
        self._targets: dict[Path, str] = {}
        self._stopping = False

    def start(self, wanted: Wanted) -> Download:
        """Begin a download. Raises InvalidInput and children, ModelTypeUnknown, ModelExists, QueueFull."""
        source = self._sources.of(wanted.url)
        model_type = self._folders.type_of(wanted.type)
        name = wanted.name or source.filename
        target = self._target(model_type, name)
        if target.exists() and not wanted.overwrite:
            raise ModelExists(f"There is a {model_type} {name!r} already; send overwrite to replace it.")
        download = Download(secrets.token_hex(8), source.address.shown, model_type, name, self._clock())
        with self._lock:
            self._admit(target, name)
            self._downloads[download.id] = download
            token = self._tokens[download.id] = CancelToken()
            self._targets[target] = download.id
            self._forget_oldest()
        thread = threading.Thread(
            target=self._run, args=(download.id, source, target, wanted, token), name="model-download", daemon=True
        )
        thread.start()
        return download

    def get(self, download_id: str) -> Download:
        """One of them. Raises DownloadNotFound."""
        with self._lock:
            found = self._downloads.get(download_id)
        if found is None:
            raise DownloadNotFound(f"There is no download {download_id[:40]!r}.")
        return found

    def all(self) -> list[Download]:
        """Those that are under way and the last that ended, newest first."""
        with self._lock:
            return sorted(self._downloads.values(), key=lambda each: each.created_at, reverse=True)

    def cancel(self, download_id: str) -> Download:
        """Stop one; what came of it so far is kept for the next try. Raises DownloadNotFound."""
        found = self.get(download_id)
        with self._lock:
            token = self._tokens.get(download_id)
        if token is not None:
            token.cancel()
        return found

    def stop(self) -> None:
        """Stop all of them."""
        with self._lock:
            self._stopping = True
            tokens = list(self._tokens.values())
        for token in tokens:
            token.cancel(WorkerStopping("The worker is shutting down; ask for the model again."))

    def _admit(self, target: Path, name: str) -> None:
        if self._stopping:
            raise WorkerStopping("The worker is shutting down; ask for the model again in a moment.")
        if target in self._targets:
            raise ModelExists(f"{name!r} is being fetched already, as download {self._targets[target]}.")
        if len(self._tokens) >= _MAX_WAITING:
            raise QueueFull(f"{_MAX_WAITING} models are being fetched already.", retry_after_s=60)

    def _target(self, model_type: str, name: str) -> Path:
        """Where the file goes: in the type's folder, whatever links lie in it. Raises InvalidInput."""
        fault = fault_of_name(name) or self._fault_of(name)
        if fault:
            message = f"name {fault}."
            raise InvalidInput(message, [Detail(field="name", code="invalid_name", message=message)])
        root = self._folders.roots(model_type)[0]
        if not (root.is_dir() or root.parent.is_dir()):
            raise InvalidInput(f"This worker sees no folder for {model_type}: set COMFY_ROOT to ComfyUI's folder.")
        target = root / name
        # Links in the folder may lead anywhere; files are only made below it.
        if target.is_symlink() or not target.parent.resolve().is_relative_to(root.resolve()):
            message = f"name {name!r} leads out of the folder of {model_type}."
            raise InvalidInput(message, [Detail(field="name", code="invalid_name", message=message)])
        return target

    def _fault_of(self, name: str) -> str | None:
        path = PurePosixPath(name)
        if any(part.startswith(".") for part in path.parts):
            return "must not begin with a dot, nor any of its folders"
        if len(path.parts) > _MAX_DEPTH:
            return f"has more than {_MAX_DEPTH - 1} folders"
        if path.suffix.lower() not in self._suffixes:
            known = ", ".join(sorted(self._suffixes))
            return f"must end in one of {known}; other formats may run code (setting MODEL_DOWNLOAD_PICKLES)"
        return None

    def _run(self, download_id: str, source: Source, target: Path, wanted: Wanted, token: CancelToken) -> None:
        result: dict[str, object]
        try:
            with self._turns:
                token.raise_if_set()
                sha256 = self._fetched(download_id, source, target, wanted, token)
            result = {"status": DownloadStatus.COMPLETED, "sha256": sha256}
        except WorkerError as error:
            cancelled = token.is_set()
            result = {"status": DownloadStatus.CANCELLED if cancelled else DownloadStatus.FAILED, "error": error}
        except OSError as error:
            reason = InternalError(f"The model's folder cannot be used: {error.strerror}.")
            result = {"status": DownloadStatus.FAILED, "error": reason}
        with self._lock:
            self._tokens.pop(download_id, None)
            self._targets.pop(target, None)
        ended = self._set(download_id, **result, finished_at=self._clock())
        log.info(
            "Model download ended",
            download=download_id,
            type=ended.type,
            status=ended.status.value,
            bytes=ended.done_bytes,
            error=ended.error.message if ended.error else None,
        )

    def _fetched(self, download_id: str, source: Source, target: Path, wanted: Wanted, token: CancelToken) -> str:
        target.parent.mkdir(parents=True, exist_ok=True)
        with Part(target, wanted.url) as part:
            self._set(download_id, status=DownloadStatus.DOWNLOADING, done_bytes=part.size_bytes)
            announced = self._fetcher.fetch(
                source, part, token, lambda done, total: self._told(download_id, done, total)
            )
            self._set(download_id, status=DownloadStatus.VERIFYING)
            part.finish()
            try:
                _verify(part, target, wanted.sha256 or announced)
            except InvalidInputFile:
                part.discard()
                raise
            _publish(part, target, overwrite=wanted.overwrite)
            self._note(target, wanted, part.sha256)
            return part.sha256

    def _note(self, target: Path, wanted: Wanted, sha256: str) -> None:
        root = self._folders.roots(self._folders.type_of(wanted.type))[0]
        found = target.stat()
        file = FoundFile(root, target.relative_to(root).as_posix(), found.st_size, found.st_mtime_ns)
        self._book.note(file, sha256)
        self._folders.changed()

    def _told(self, download_id: str, done_bytes: int, total_bytes: int | None) -> None:
        self._set(download_id, done_bytes=done_bytes, total_bytes=total_bytes)

    def _set(self, download_id: str, **values: object) -> Download:
        with self._lock:
            changed = replace(self._downloads[download_id], **values)  # type: ignore[arg-type]
            self._downloads[download_id] = changed
            return changed

    def _forget_oldest(self) -> None:
        ended = [each for each in self._downloads.values() if each.has_ended]
        for each in sorted(ended, key=lambda one: one.created_at)[: max(0, len(ended) - _REMEMBERED)]:
            del self._downloads[each.id]


def _verify(part: Part, target: Path, sha256: str | None) -> None:
    if sha256 is not None and part.sha256 != sha256.lower():
        raise InvalidInputFile(f"The file has the sha256 {part.sha256}, not {sha256.lower()}; nothing of it was kept.")
    if target.suffix.lower() in safetensors.SUFFIXES:
        safetensors.check(part.path)


def _publish(part: Part, target: Path, *, overwrite: bool) -> None:
    """Give the file its name, which lasts."""
    if overwrite:
        part.path.replace(target)
    else:
        try:
            os.link(part.path, target)
        except FileExistsError:
            raise ModelExists(f"A model {target.name!r} has come from elsewhere meanwhile.") from None
        except OSError:
            # A file system without links.
            if target.exists():
                raise ModelExists(f"A model {target.name!r} has come from elsewhere meanwhile.") from None
            part.path.replace(target)
        part.path.unlink(missing_ok=True)
    part.forget_notes()
    sync(target.parent)
