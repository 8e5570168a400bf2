"""All named workflows of the worker. Files that change are read again when somebody asks; nothing watches them."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import Detail, WorkflowNotFound, WorkflowUnusable
from ..logs import get_logger
from .named import MANIFEST, TEMPLATE, NamedWorkflow, Unusable, name_at, read
from .overrides import nearest

BUILTIN = Path(__file__).parent / "templates"
_LOOK_EVERY_S = 0.5

log = get_logger()
# The files of a workflow with their times and sizes.
Signature = tuple[tuple[str, int, int, int], ...]
Matches = Callable[[str, Collection[str]], Sequence[str]]


@dataclass(frozen=True)
class Entry:
    """What lies at one place. With an error, `workflow` is the last sound version, if there was one."""

    name: str
    path: Path
    is_builtin: bool
    signature: Signature
    workflow: NamedWorkflow | None = None
    error: str | None = None


def _itself(name: str, known: Collection[str]) -> Sequence[str]:
    return [name] if name in known else []


class Registry:
    """The workflows below `folders`, a later folder over an earlier one. Safe from any thread.

    `matches` gives those of the known names that a name means: one, unless it means none or may be any of several.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        roots: Sequence[str] = ("/runpod-volume",),
        matches: Matches = _itself,
        look_every_s: float = _LOOK_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = [(BUILTIN, True), *([(folder, False)] if folder else [])]
        self._roots = roots
        self._matches = matches
        self._look_every_s = look_every_s
        self._clock = clock
        self._lock = threading.Lock()
        self._by_path: dict[Path, Entry] = {}
        self._entries: dict[str, Entry] = {}
        self._looked_at = float("-inf")

    def entries(self) -> list[Entry]:
        """All of them by name, the broken ones too."""
        with self._lock:
            if self._clock() - self._looked_at >= self._look_every_s:
                self._look()
                self._looked_at = self._clock()
            return list(self._entries.values())

    def workflows(self) -> list[NamedWorkflow]:
        """Those that can be used."""
        return [entry.workflow for entry in self.entries() if entry.workflow]

    def get(self, name: str) -> NamedWorkflow:
        """The workflow of that name. Raises WorkflowNotFound with the nearest names, WorkflowUnusable."""
        entries = {entry.name: entry for entry in self.entries()}
        found = self._matches(name, entries)
        if len(found) != 1:
            raise _unknown(name, list(entries), found)
        entry = entries[found[0]]
        if entry.workflow is None:
            raise WorkflowUnusable(f"The workflow {entry.name} cannot be used: {entry.error}.")
        return entry.workflow

    def _look(self) -> None:
        by_path = {
            path: self._entry(path, is_builtin) for folder, is_builtin in self._folders for path in places(folder)
        }
        found: dict[str, Entry] = {}
        for entry in by_path.values():
            other = found.get(entry.name)
            found[entry.name] = _twice(entry, other) if other and not other.is_builtin else entry
        self._by_path = by_path
        self._entries = dict(sorted(found.items()))

    def _entry(self, path: Path, is_builtin: bool) -> Entry:
        signature = _signature(path)
        known = self._by_path.get(path)
        if known and known.signature == signature:
            return known
        try:
            workflow = read(path, self._roots, is_builtin=is_builtin)
        except Unusable as error:
            log.warning("A workflow cannot be used", path=str(path), error=str(error))
            sound = known.workflow if known else None
            name = sound.name if sound else name_at(path)
            return Entry(name, path, is_builtin, signature, sound, str(error))
        if known:
            log.info("Workflow read again", workflow=workflow.name, path=str(path))
        return Entry(workflow.name, path, is_builtin, signature, workflow)


def places(folder: Path) -> list[Path]:
    """The folders and files below it that are meant as workflows."""
    try:
        children = sorted(folder.iterdir())
    except OSError:
        return []
    return [
        path
        for path in children
        if not path.name.startswith((".", "_"))
        and (
            (path.suffix == ".json" and path.is_file()) or ((path / MANIFEST).is_file() or (path / TEMPLATE).is_file())
        )
    ]


def _signature(path: Path) -> Signature:
    files = [path / MANIFEST, path / TEMPLATE] if path.is_dir() else [path]
    signature = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue
        signature.append((file.name, status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(signature)


def _twice(entry: Entry, other: Entry) -> Entry:
    """Two of one name in one folder: the first one stays, and says so."""
    error = f"{entry.path.name} has the name {entry.name} as well; give one of them another name"
    return Entry(other.name, other.path, other.is_builtin, other.signature, other.workflow, other.error or error)


def _unknown(name: str, names: list[str], meant: Sequence[str]) -> WorkflowNotFound:
    near = list(meant) or nearest(name, names)
    hint = f" {'It may be any of' if meant else 'Nearest:'} {', '.join(near)}." if near else ""
    message = f"There is no workflow {name[:64]!r}; GET /api/workflows lists those there are.{hint}"
    detail = Detail(field="workflow_name", code="unknown_workflow", message=message, nearest=near)
    return WorkflowNotFound(message, [detail])
