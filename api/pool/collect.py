"""Fetches what a finished prompt has made: files to local disk, texts as they are."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from ..comfyui.client import ComfyClient
from ..comfyui.history import HistoryEntry, HistoryFile
from ..errors import ComfyError, ComfyUnreachable, Detail, OutputUnavailable, WorkerError
from ..jobs.files import translated_disk_errors
from ..jobs.names import own_subfolder
from ..jobs.ports import OutputFile, OutputText, RunRequest, Workflow
from ..jobs.quoting import cut
from ..outputs import own_workflow
from ..outputs.facts import media_type
from ..workflows import graph
from .texts import Texts

_FETCHES = 3


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
        raise_if_cancelled: Callable[[], None],
    ) -> None:
        self._client = client
        self._raise_if_cancelled = raise_if_cancelled
        self._await_comfyui = await_comfyui
        self._workflow = workflow
        self._entry = entry
        self._request = request
        self._workdir = workdir
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
        return tuple(found)

    def texts(self) -> Texts:
        """The run's texts, sorted. Raises DiskFull."""
        workflow, cached = self._workflow, self._entry.cached
        texts = Texts(
            (
                OutputText(text.node_id, text.key, text.index, text.text, graph.reused(workflow, cached, text.node_id))
                for text in self._entry.texts()
            ),
            self._workdir,
        )
        self.warnings += texts.warnings
        return texts

    def _wanted(self) -> list[HistoryFile]:
        """Previews (temp files) only when they are asked for and nothing was saved."""
        files = [file for file in self._entry.files() if file.kind != "input"]
        saved = [file for file in files if file.kind != "temp"]
        return saved or (files if self._request.include_temp else [])

    def _fetched(self, file: HistoryFile, path: Path) -> OutputFile:
        named = file.plain
        if named is None:
            raise OutputUnavailable(
                f"Node {file.node_id} names an output outside ComfyUI's folders ({cut(file.filename)}); "
                "save it below the output folder, with a plain name."
            )
        name, subfolder = named
        reused = graph.reused(self._workflow, self._entry.cached, file.node_id)
        try:
            size_bytes, digest = self._fetch(file, path)
        except OutputUnavailable as error:
            if file.node_id in self._entry.cached:
                raise StaleOutput(file.node_id, error) from error
            raise
        mime_type = media_type(path, name)
        if own_workflow.restore(path, name, mime_type, self._workflow, self._request.workflow):
            digest = _sha256(path)
        return OutputFile(
            node_id=file.node_id,
            key=file.key,
            index=file.index,
            filename=name,
            subfolder=own_subfolder(subfolder),
            kind=file.kind,
            reused=reused,
            path=path,
            mime_type=mime_type,
            size_bytes=size_bytes,
            sha256=digest,
        )

    def _fetch(self, file: HistoryFile, path: Path) -> tuple[int, str]:
        """Size and sha256. A download cut short starts anew, after a restart of ComfyUI too: its files outlive it."""
        for _ in range(_FETCHES - 1):
            try:
                return self._fetch_once(file, path)
            except ComfyError as error:
                self._raise_if_cancelled()
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
        self._raise_if_cancelled()  # it may be what ended the download
        return size_bytes, digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
