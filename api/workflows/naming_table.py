"""One name for a workflow, whatever it is called where: by a table, by rule for what is not in it. Reads no file."""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

# Longer ones are told apart by so much of them.
_LONGEST = 256
_ENDING = re.compile(r"\.json$")
# Other scripts need their marks: dropped, Japanese words would become others.
_ACCENTS = re.compile(r"(?<=[a-z])[\u0300-\u036f]+")
# v2, ver-1-2 and version-3 are versions; sd1-5 and flux-2 are names.
_VERSION = re.compile(r"(?<=.)-(?:version|ver|v)-?(\d+(?:-\d+)*)$")


@dataclass(frozen=True, slots=True)
class NameEntry:
    """A row of the table: what ComfyUI Deploy (`api`), this worker (`local`) and people (`aliases`) call a workflow."""

    standard: str
    api: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    notes: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All that mean it, beside the standard name."""
        return (*self.api, *self.local, *self.aliases)

    def joined(self, other: "NameEntry") -> "NameEntry":
        """One row of two for the same workflow."""
        return NameEntry(
            self.standard,
            tuple(dict.fromkeys((*self.api, *other.api))),
            tuple(dict.fromkeys((*self.local, *other.local))),
            tuple(dict.fromkeys((*self.aliases, *other.aliases))),
            self.notes or other.notes,
        )


@dataclass(frozen=True, slots=True)
class Standardized:
    """`by`: whether the table has the name (then `entry` is its row), or it follows from the rule."""

    name: str
    standard: str
    by: Literal["table", "rule"]
    entry: NameEntry | None = None


@dataclass(frozen=True, slots=True)
class NameProblem:
    """Names that do not mean what somebody may think; `message` says what they mean."""

    code: Literal["alias_twice", "alias_shadows_name", "same_standard"]
    message: str
    names: tuple[str, ...]


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    text = _ENDING.sub("", unicodedata.normalize("NFC", _ACCENTS.sub("", text)).strip())
    return "-".join("".join(char if char.isalnum() else " " for char in text).split())


def plain(name: str) -> str:
    """The name in the form all names have: small letters and digits without accents, one hyphen between them."""
    return _plain(name[:_LONGEST])


def without_version(name: str) -> tuple[str, str | None]:
    """A plain name without the versions at its end, and the last one of them."""
    version = None
    while found := _VERSION.search(name):
        version = version or found[1]
        name = name[: found.start()]
    return name, version


class Naming:
    """The table. Where both know a name, `over` goes before `entries`; of the rows of one, the first."""

    def __init__(self, entries: Sequence[NameEntry], over: Sequence[NameEntry] = ()) -> None:
        self._rows: dict[str, NameEntry] = {}
        for row in (*over, *entries):
            known = self._rows.get(row.standard)
            self._rows[row.standard] = known.joined(row) if known else row
        self._standards: dict[str, str] = {}
        self.problems = (*self._add(over), *self._add(entries))

    @property
    def entries(self) -> tuple[NameEntry, ...]:
        """All rows, one for each standard name."""
        return tuple(self._rows.values())

    def standard(self, name: str) -> str:
        """The standard name; empty for a name without a letter or digit."""
        return self.look_up(name).standard

    def look_up(self, name: str) -> Standardized:
        """The standard name and where it comes from."""
        key = plain(name)
        bare = without_version(key)[0]
        for form in (key, bare):
            if form in self._standards:
                standard = self._standards[form]
                return Standardized(name, standard, "table", self._rows[standard])
        return Standardized(name, bare, "rule")

    def matches(self, name: str, known: Collection[str]) -> list[str]:
        """Those of the known names that are meant: the name itself, else the one of the standard name, else all of it.

        Who names a version gets that one or none, unless the table says what the name with its version stands for.
        """
        if name in known:
            return [name]
        wanted, version = self.standard(name), self._version(name)
        found = [each for each in known if wanted and self.standard(each) == wanted]
        if version is not None:
            return [each for each in found if self._version(each) == version]
        return [wanted] if wanted in found else found

    def collisions(self, api_names: Iterable[str] = (), local_names: Iterable[str] = ()) -> list[NameProblem]:
        """What is wrong with the table, and which of these names become one although no row says that they are one."""
        return [
            *self.problems,
            *self._same("ComfyUI Deploy", api_names, lambda row: row.api),
            *self._same("this worker", local_names, lambda row: row.local),
        ]

    def _version(self, name: str) -> str | None:
        key = plain(name)
        return None if key in self._standards else without_version(key)[1]

    def _add(self, rows: Sequence[NameEntry]) -> list[NameProblem]:
        earlier = dict(self._standards)
        problems: list[NameProblem] = []
        # Standard names first: an alias takes none of them away.
        for row in rows:
            self._standards.setdefault(row.standard, row.standard)
        for row in rows:
            # What the table over this one says of the row's name holds for all that means it.
            standard = self._standards[row.standard]
            for name in row.names:
                key = plain(name)
                meant = self._standards.setdefault(key, standard)
                if meant != standard and key not in earlier:
                    problems.append(_taken(name, key, standard, meant))
        return problems

    def _same(
        self, where: str, names: Iterable[str], said: Callable[[NameEntry], tuple[str, ...]]
    ) -> Iterator[NameProblem]:
        groups: dict[str, list[str]] = {}
        for name in sorted(set(names)):
            groups.setdefault(self.standard(name), []).append(name)
        for standard, group in sorted(groups.items()):
            row = self._rows.get(standard)
            meant = {plain(name) for name in said(row)} if row else set()
            if len(group) > 1 and any(plain(name) not in meant for name in group):
                text = (
                    f"{' and '.join(group)} of {where} all become {standard or 'nothing'}; give them rows of their own"
                )
                yield NameProblem("same_standard", text, tuple(group))


def _taken(name: str, key: str, standard: str, meant: str) -> NameProblem:
    if key == meant:
        text = f"{name} is to mean {standard}, but it is another workflow's own name and goes on to mean that one"
        return NameProblem("alias_shadows_name", text, (name, standard))
    return NameProblem("alias_twice", f"{name} is to mean {standard}, but it means {meant}, which comes first", (name,))
