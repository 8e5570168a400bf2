"""The files of jobs beside the database: requests, inputs, outputs, results. Knows no SQL and no HTTP.

One folder per job, so that forgetting a job is removing a folder:
`jobs/<2 characters>/<job id>/{request.json, inputs/<n>, outputs-<attempt>/<n>, result-<attempt>.json}`.
"""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..errors import DiskFull, InternalError, StorageFull, StoreUnavailable
from ..ids import JobId
from .files import link_or_copy, sync, translated_disk_errors
from .ports import Delivered, OutputFile

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_RETRY_AFTER_S = 60
_SYNCS_AT_ONCE = 8
# In place of base64 in a kept result: the number of the output's file.
_KEPT = "kept:"
_KEPT_PLACE = re.compile(rf"{_KEPT}(outputs-\d+/\d+)")


class Spool:
    """`root` is a folder of the worker's own. The last `min_free_bytes` of its disk are for jobs that run.

    `scratch` is where runs put what they fetch; of a disk of its own, which may be small, a tenth is kept free.
    """

    def __init__(self, root: Path, min_free_bytes: int, scratch: Path | None = None) -> None:
        self._root = root
        self._scratch = scratch
        self._jobs = root / "jobs"
        self._min_free_bytes = min_free_bytes
        self._syncers = ThreadPoolExecutor(_SYNCS_AT_ONCE, thread_name_prefix="sync")
        self._jobs.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def root(self) -> Path:
        """Where everything lies."""
        return self._root

    def free_bytes(self) -> int:
        """Space left on the disk."""
        return shutil.disk_usage(self._root).free

    def check_room(self, wanted_bytes: int = 0) -> None:
        """Raises StorageFull when the disk has less than its reserve left after so many more bytes.

        StoreUnavailable when the folder is gone.
        """
        self.check_room_in(self._root, wanted_bytes)
        if self._scratch is not None and self._scratch.is_dir():
            self.check_room_in(
                self._scratch, 0, min(self._min_free_bytes, shutil.disk_usage(self._scratch).total // 10)
            )

    def check_room_in(self, folder: Path, wanted_bytes: int = 0, reserve_bytes: int | None = None) -> None:
        """The same of another folder, which may be on another disk and have a reserve of its own."""
        reserve_bytes = self._min_free_bytes if reserve_bytes is None else reserve_bytes
        try:
            free_bytes = shutil.disk_usage(folder).free
        except OSError as error:
            of = "of the jobs' files" if folder == self._root else folder.name
            raise StoreUnavailable(
                f"The folder {of} cannot be used ({error.strerror}): bring it back or restart the worker."
            ) from error
        if free_bytes - wanted_bytes < reserve_bytes:
            where = "The worker's disk" if folder != self._scratch else "The disk of WORK_DIR"
            raise StorageFull(
                f"{where} has {free_bytes // 1_000_000} MB left and keeps "
                f"{reserve_bytes // 1_000_000} MB for the jobs it has; try again when some are done.",
                retry_after_s=_RETRY_AFTER_S,
            )

    def folder(self, job_id: JobId) -> Path:
        """The job's folder, whether it is there or not."""
        if not _SAFE_ID.fullmatch(job_id):
            raise InternalError("A job id that is no name for a folder.")
        return self._jobs / _shard(job_id) / job_id

    def _made(self, job_id: JobId) -> Path:
        """The job's folder, made. Its parent is nearly always there: making sure of both takes thrice as long."""
        folder = self.folder(job_id)
        with translated_disk_errors(folder):
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                pass
            except FileNotFoundError:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def held_file(self, job_id: JobId, index: int) -> Path:
        """Where input `index` of the job is kept; its folder is made."""
        folder = self.folder(job_id) / "inputs"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / str(index)

    def keep_request(self, job_id: JobId, request: Mapping[str, Any]) -> None:
        """Write the request. It lasts from `sync_request` on. Raises DiskFull."""
        folder = self._made(job_id)
        with translated_disk_errors(folder):
            (folder / "request.json").write_bytes(json.dumps(request).encode())

    def sync_request(self, job_id: JobId) -> None:
        """Make what was kept for the job last."""
        folder = self.folder(job_id)
        with translated_disk_errors(folder):
            for path in (*self.held_files(job_id), folder / "request.json"):
                sync(path)

    def request(self, job_id: JobId) -> dict[str, Any] | None:
        """The request as it was kept; None when it is gone or broken."""
        return _document(self.folder(job_id) / "request.json")

    def held_files(self, job_id: JobId) -> list[Path]:
        """The inputs that are kept for the job."""
        folder = self.folder(job_id) / "inputs"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def sink(self, job_id: JobId, attempt: int) -> "OutputSpool":
        """Where the outputs of one run of the job go."""
        return OutputSpool(self.folder(job_id) / f"outputs-{attempt}")

    def keep_result(self, job_id: JobId, attempt: int, result: Mapping[str, Any]) -> str:
        """Write the result, make it and the run's outputs last, and return where it lies below the job's folder."""
        folder = self._made(job_id)
        name = f"result-{attempt}.json"
        with translated_disk_errors(folder):
            (folder / name).write_bytes(json.dumps(result).encode())
            # At once, since the disk takes about as long for several as for one.
            list(self._syncers.map(sync, (folder / name, *(folder / f"outputs-{attempt}").glob("*"))))
        return name

    def result(self, job_id: JobId, name: str) -> dict[str, Any] | None:
        """The result as it was kept, with `kept:` where content lies in files; None when it is gone."""
        return _document(self.folder(job_id) / name)

    def forget(self, job_id: JobId) -> None:
        """Remove everything of the job."""
        shutil.rmtree(self.folder(job_id), ignore_errors=True)

    def forget_other_runs(self, job_id: JobId, attempt: int) -> None:
        """Remove what runs of the job other than `attempt` have left."""
        for path in self.folder(job_id).glob("*-*"):
            if path.name not in {f"outputs-{attempt}", f"result-{attempt}.json"}:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def old_folders(self, age_s: float) -> Iterator[JobId]:
        """The jobs whose folder has not changed for so long."""
        before = time.time() - age_s
        for shard in self._jobs.iterdir():
            for folder in shard.iterdir():
                if folder.stat().st_mtime < before:
                    yield JobId(folder.name)


class OutputSpool:
    """An OutputSink that keeps content in files; in the result stands only which one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        shutil.rmtree(folder, ignore_errors=True)

    def put(self, _job_id: JobId, file: OutputFile) -> Delivered:
        """Keep one file; it lasts from `keep_result` on. Raises DiskFull; what the run has put here is gone then."""
        place = self._folder / str(self._number)
        try:
            with translated_disk_errors(place):
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                _take(file.path, place)
        except DiskFull:
            # The run that comes after this one has a folder of its own, and needs the room.
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._number += 1
        return Delivered("base64", f"{_KEPT}{self._folder.name}/{place.name}")


def kept_path(data: Any) -> str | None:
    """Where, below the job's folder, the content lies that an entry's `data` stands for; None when it is elsewhere."""
    if isinstance(data, str) and (place := _KEPT_PLACE.fullmatch(data)):
        return place[1]
    return None


def _take(source: Path, place: Path) -> None:
    """A second name for the file where that can be had, else a copy: the first one goes with the scratch folder."""
    place.unlink(missing_ok=True)
    link_or_copy(source, place)


def _shard(job_id: JobId) -> str:
    return hashlib.sha256(job_id.encode()).hexdigest()[:2]


def _document(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
