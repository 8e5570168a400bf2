"""Named workflows on disk for the command line: drafts of them, and what is wrong with those that are there."""

import json
from pathlib import Path
from typing import Any

from .errors import InvalidInput
from .workflows.draft import draft
from .workflows.named import MANIFEST, TEMPLATE, Unusable, read
from .workflows.registry import Registry, places


def add(export: Path, name: str | None, folder: Path) -> Path:
    """Write the draft of an exported workflow below `folder`; the folder it is in. Raises InvalidInput."""
    manifest, template = draft(_json(export), title=_title(name or export.stem))
    name = name or _slug(export.stem)
    place = folder / name
    if (place / MANIFEST).exists():
        raise InvalidInput(f"{place / MANIFEST} is there already; remove it, or give another name with --name.")
    try:
        place.mkdir(parents=True, exist_ok=True)
        _write(place / TEMPLATE, template)
        _write(place / MANIFEST, {"name": name, **manifest})
    except OSError as error:
        raise InvalidInput(f"{place} cannot be written: {error.strerror}.") from error
    faults = check(place)
    if faults:
        raise InvalidInput(f"{place} is written, and needs to be mended: {'; '.join(faults)}.")
    return place


def check(path: Path) -> list[str]:
    """What is wrong with a workflow, or with all below a folder; empty when nothing is."""
    is_one = path.is_file() or any((path / file).is_file() for file in (MANIFEST, TEMPLATE))
    if not is_one and not path.is_dir():
        return [f"{path}: there is no such file or folder"]
    faults = []
    paths: dict[str, Path] = {}
    for place in [path] if is_one else places(path):
        try:
            name = read(place).name
        except Unusable as fault:
            faults.append(f"{place}: {fault}")
            continue
        if paths.setdefault(name, place) != place:
            faults.append(f"{place}: {paths[name].name} has the name {name} already")
    return faults


def table(registry: Registry) -> list[tuple[str, str, str]]:
    """Rows of (name, inputs, where it is or what is wrong with it)."""
    rows = []
    for entry in registry.entries():
        inputs = entry.workflow.manifest.inputs if entry.workflow else {}
        told = [name if kind.is_required else f"[{name}]" for name, kind in inputs.items()]
        where = f"broken: {entry.error}" if entry.error else "built in" if entry.is_builtin else str(entry.path)
        rows.append((entry.name, " ".join(told) or "–", where))
    return rows


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not JSON: {error}.") from error


def _write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _slug(text: str) -> str:
    plain = "".join(char if char.isascii() and char.isalnum() else "-" for char in text.lower())
    return "-".join(part for part in plain.split("-") if part)[:64] or "workflow"


def _title(text: str) -> str:
    return text.replace("_", " ").replace("-", " ").strip().capitalize()
