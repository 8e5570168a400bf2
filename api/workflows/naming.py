"""The names of workflows: the table as a file, the built-in one beside it, and the one function that uses both."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from .live_file import LiveFile, Unreadable, read_object, validated
from .naming_table import NameEntry, Naming, plain

BUILTIN = Path(__file__).with_name("names.json")


def _standard(name: str) -> str:
    if not name or plain(name) != name:
        raise ValueError(
            f"a standard name is small letters and digits with hyphens between: {plain(name) or 'text2img'}"
        )
    return name


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _is_name(name: str) -> str:
    if not plain(name):
        raise ValueError("a name needs a letter or a digit")
    return name


Names = Annotated[tuple[Annotated[str, AfterValidator(_is_name)], ...], BeforeValidator(_listed)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    standard: Annotated[str, AfterValidator(_standard)]
    api: Names = ()
    local: Names = ()
    aliases: Names = ()
    notes: str = ""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    workflows: tuple[_Row, ...] = Field(default=())


def standardize_workflow_name(name: str, naming: Naming | None = None) -> str:
    """The standard name by that table, or by the built-in one: `Text To Image v2.json` is text2img."""
    return (naming or builtin()).standard(name)


@cache
def builtin() -> Naming:
    """The table that is part of the worker."""
    return Naming(_entries(read_object(BUILTIN)))


def names_file(path: Path | None, *, look_every_s: float = 0.5) -> LiveFile[Naming]:
    """The built-in table with that of the file over it, as the file is now."""
    return LiveFile(path, _over_builtin, builtin(), look_every_s=look_every_s)


def check(path: Path) -> list[str]:
    """What is wrong with a file of names, a line each; empty when nothing is."""
    try:
        naming = _over_builtin(read_object(path))
    except Unreadable as error:
        return list(error.findings)
    return [problem.message for problem in naming.problems]


def _over_builtin(document: Mapping[str, Any]) -> Naming:
    return Naming(builtin().entries, over=_entries(document))


def _entries(document: Mapping[str, Any]) -> tuple[NameEntry, ...]:
    rows = validated(_Document, document).workflows
    return tuple(NameEntry(row.standard, row.api, row.local, row.aliases, row.notes) for row in rows)
