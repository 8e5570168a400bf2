"""Fetches what a finished prompt has made: files to local disk, texts as they are."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from ..comfyui.client import ComfyClient
from ..comfyui.history import HistoryEntry, HistoryFile
from ..errors import ComfyError, ComfyUnreachable, Detail, OutputUnavailable, WorkerError
from ..jobs.files import translated_disk_errors
from ..jobs.ports import OutputFile, OutputText, RunRequest, Workflow
from ..jobs.request import folder_of
from ..outputs.facts import media_type
from ..workflows import graph

_FETCHES = 3
# A longer text goes the way of files: inline it would crowd out the pictures.
_TEXT_LIMIT_CHARS = 20_000


class StaleOutput(Exception):
    """ComfyUI names a cached file that is gone: the node has to run again."""

    def __init__(self, node_id: str, error: OutputUnavailable) -> None:
        super().__init__(error.message)
        self.node_id = node_id
        self.error = error


class Collector:
    """One per finished run. `warnings` lists outputs that could not be fetched while others could."""

    def __init__(
        self,
        client: ComfyClient,
        workflow: Workflow,
        entry: HistoryEntry,
        request: RunRequest,
        workdir: Path,
        await_comfyui: Callable[[], None],
    ) -> None:
        self._client = client
        self._await_comfyui = await_comfyui
        self._workflow = workflow
        self._entry = entry
        self._request = request
        self._workdir = workdir
        self._folder = folder_of(request.job_id)
        self.warnings: list[Detail] = []

    def files(self) -> tuple[OutputFile, ...]:
        """The run's files in a stable order. Raises StaleOutput, or OutputUnavailable when not one could be had."""
        wanted = self._wanted()
        found: list[OutputFile] = []
        errors: list[WorkerError] = []
        for number, file in enumerate(wanted):
            try:
                found.append(self._fetched(file, self._workdir / f"output-{number}"))
            except (OutputUnavailable, ComfyError) as error:
                errors.append(error)
                self.warnings.append(Detail(node_id=file.node_id, code=error.code, message=error.message))
        if errors and not found:
            raise errors[0]
        return tuple(found) + self._long_texts(len(wanted))

    def texts(self) -> tuple[OutputText, ...]:
        """The run's texts, but for those long enough to be a file."""
        return tuple(text for text in self._all_texts() if len(text.text) <= _TEXT_LIMIT_CHARS)

    def _wanted(self) -> list[HistoryFile]:
        """Previews (temp files) only when they are asked for and nothing was saved."""
        files = [file for file in self._entry.files() if file.kind != "input"]
        saved = [file for file in files if file.kind != "temp"]
        return saved or (files if self._request.include_temp else [])

    def _fetched(self, file: HistoryFile, path: Path) -> OutputFile:
        reused = graph.reused(self._workflow, self._entry.cached, file.node_id)
        try:
            size_bytes, digest = self._fetch(file, path)
        except OutputUnavailable as error:
            if file.node_id in self._entry.cached:
                raise StaleOutput(file.node_id, error) from error
            raise
        return OutputFile(
            node_id=file.node_id,
            key=file.key,
            index=file.index,
            filename=file.filename,
            subfolder=self._own_subfolder(file.subfolder),
            kind=file.kind,
            reused=reused,
            path=path,
            mime_type=media_type(path, file.filename),
            size_bytes=size_bytes,
            sha256=digest,
        )

    def _fetch(self, file: HistoryFile, path: Path) -> tuple[int, str]:
        """Size and sha256. A download cut short starts anew, after a restart of ComfyUI too: its files outlive it."""
        for _ in range(_FETCHES - 1):
            try:
                return self._fetch_once(file, path)
            except ComfyError as error:
                if isinstance(error.__cause__, TimeoutError):
                    raise  # the wait was long enough once
                if isinstance(error, ComfyUnreachable):
                    self._await_comfyui()
        return self._fetch_once(file, path)

    def _fetch_once(self, file: HistoryFile, path: Path) -> tuple[int, str]:
        digest = hashlib.sha256()
        size_bytes = 0
        with (
            self._client.view(file.filename, file.subfolder, file.kind) as view,
            translated_disk_errors(path),
            path.open("wb") as out,
        ):
            for piece in view.chunks():
                digest.update(piece)
                size_bytes += out.write(piece)
        return size_bytes, digest.hexdigest()

    def _own_subfolder(self, subfolder: str) -> str:
        """The caller's own part of the folder: the job's in front of it is ours."""
        own = subfolder.replace("\\", "/").strip("/")
        return f"{own}/".removeprefix(f"{self._folder}/").strip("/")

    def _all_texts(self) -> list[OutputText]:
        return [
            OutputText(
                text.node_id,
                text.key,
                text.index,
                text.text,
                graph.reused(self._workflow, self._entry.cached, text.node_id),
            )
            for text in self._entry.texts()
        ]

    def _long_texts(self, number: int) -> tuple[OutputFile, ...]:
        long = [text for text in self._all_texts() if len(text.text) > _TEXT_LIMIT_CHARS]
        return tuple(self._as_file(text, number + offset) for offset, text in enumerate(long))

    def _as_file(self, text: OutputText, number: int) -> OutputFile:
        content = text.text.encode("utf-8", "replace")
        path = self._workdir / f"output-{number}"
        with translated_disk_errors(path):
            path.write_bytes(content)
        return OutputFile(
            node_id=text.node_id,
            key=text.key,
            index=text.index,
            filename=f"{text.node_id}_{text.key}_{text.index}.txt".replace(":", "_"),
            subfolder="",
            kind="output",
            reused=text.reused,
            path=path,
            mime_type="text/plain",
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
