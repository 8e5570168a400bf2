"""The routing rules as a file: what may be written in it, how it becomes a table, and the table as it is now."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ..jobs.quoting import cut
from .live_file import LiveFile, Unreadable, read_object, validated
from .naming import builtin
from .naming_table import Naming
from .routing import (
    ANYWHERE,
    DEFAULT,
    DEPLOY,
    LOCAL,
    AllowOverride,
    Choice,
    Destination,
    RoutingTable,
    Rule,
)
from .routing_index import is_pattern

# Among fallbacks this word stands for all that the default has.
_DEFAULT = "default"
_WORDS = (LOCAL, DEPLOY, "runpod", "salad", _DEFAULT)
_PREFIXES: Mapping[str, str] = {"target": "target", "machine": "machine", "label": "label", "gpu": "gpu_type"}


def destination_of(text: str) -> Destination:
    """A destination in one word: a target's name, `label:…`, `gpu:…`, `machine:…`, `target:…`, or a machine's id."""
    word, colon, rest = text.strip().partition(":")
    if colon and word in _PREFIXES and rest.strip():
        return placed(Destination(**{_PREFIXES[word]: rest.strip()}))
    return Destination(word) if text.strip() in _WORDS else placed(Destination(machine=text.strip()))


def placed(given: Destination) -> Destination:
    """With its target, where what is given tells it: host:port is a ComfyUI of the pool, other ids are Deploy's."""
    if given.target:
        return given
    if given.machine:
        target = LOCAL if ":" in given.machine else DEPLOY
    else:
        target = LOCAL if given.label or given.gpu_type else ""
    return Destination(target, given.machine, given.label, given.gpu_type)


def _spelled(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not value.strip():
        raise ValueError("an empty text is no destination; leave it out")
    found = destination_of(value)
    return {"target": found.target, "machine": found.machine, "label": found.label, "gpu_type": found.gpu_type}


def _not_empty(text: str) -> str:
    if not (text.strip() and text.isprintable()):
        raise ValueError("must be a printable text that is not empty")
    return text.strip()


Text = Annotated[str, AfterValidator(_not_empty)]


class _Place(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    target: str = ""
    machine: str = ""
    label: str = ""
    gpu_type: str = ""
    weight: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] = 1.0

    @model_validator(mode="after")
    def _says_one_thing(self) -> "_Place":
        if sum(bool(each.strip()) for each in (self.machine, self.label, self.gpu_type)) > 1:
            raise ValueError("give one of machine, label and gpu_type; a job is sent by one of them")
        if self.destination == ANYWHERE:
            raise ValueError("says nothing; give target, machine, label or gpu_type")
        takes = {LOCAL: ("machine", "label", "gpu_type"), DEPLOY: ("machine",)}.get(self.destination.target, ())
        for name in ("machine", "label", "gpu_type"):
            if getattr(self, name).strip() and name not in takes:
                raise ValueError(f"{self.destination.target} takes no {name}")
        return self

    @property
    def destination(self) -> Destination:
        return placed(Destination(self.target.strip(), self.machine.strip(), self.label.strip(), self.gpu_type.strip()))


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Place = Annotated[_Place, BeforeValidator(_spelled)]
Places = Annotated[tuple[Place, ...], BeforeValidator(_listed), Field(min_length=1)]
Fallbacks = Annotated[tuple[Place, ...], BeforeValidator(_listed)]


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Text | None = None
    workflow: Text | None = None
    model: Text | None = None
    to: Places
    fallbacks: Fallbacks = ()
    note: str = ""

    @model_validator(mode="after")
    def _says_when(self) -> "_Rule":
        if self.workflow is None and self.model is None:
            raise ValueError("name a workflow or a model it is for; what is for all jobs is the default")
        return self


class _Default(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    to: Places
    fallbacks: Fallbacks = ()


def _default(value: Any) -> Any:
    return value if isinstance(value, dict) and "to" in value else {"to": value}


class _Document(BaseModel):
    """`routingRules` and `defaultMachine` are the short form: a destination for each workflow, and for all others."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rules: tuple[_Rule, ...] = ()
    default: Annotated[_Default, BeforeValidator(_default)] | None = None
    allow_override: AllowOverride = "none"
    routing_rules: dict[Text, Places] = Field(default_factory=dict, alias="routingRules")
    default_machine: Places | None = Field(None, alias="defaultMachine")

    @model_validator(mode="after")
    def _has_one_default(self) -> "_Document":
        if self.default is not None and self.default_machine is not None:
            raise ValueError("default and defaultMachine are two defaults: leave one of them out")
        return self


@dataclass(frozen=True, slots=True)
class Plan:
    """What the file says, before the names of workflows are made standard ones."""

    rules: tuple[Rule, ...] = ()
    default: Rule = DEFAULT
    allow_override: AllowOverride = "all"

    def compiled(self, standard: Callable[[str], str]) -> "Tables":
        """The tables under those standard names."""
        rules = [_standardized(rule, standard) for rule in self.rules]
        whole = RoutingTable(rules, self.default, allow_override=self.allow_override, standard=standard)
        return Tables(
            whole,
            workflows=whole.narrowed(lambda place: place.target != DEPLOY),
            deployments=whole.narrowed(lambda place: place.target in {"", DEPLOY}),
        )


@dataclass(frozen=True, slots=True)
class Tables:
    """`whole` is all that the file says; of it, what holds for jobs with a workflow, and for runs of deployments.

    ComfyUI Deploy runs what is deployed there and nothing else, and nobody else runs that.
    """

    whole: RoutingTable
    workflows: RoutingTable
    deployments: RoutingTable


def read_plan(document: Mapping[str, Any]) -> Plan:
    """The plan of a file's content. Raises Unreadable that names each field."""
    read = validated(_Document, document)
    default = _default_rule(read)
    short = [
        Rule(f"routingRules.{name}", _choices(f"routingRules.{name}", places), workflow=name)
        for name, places in read.routing_rules.items()
    ]
    rules = [_rule(at, rule, default) for at, rule in enumerate(read.rules)]
    names = Counter(rule.name for rule in (*short, *rules))
    if twice := {name for name, count in names.items() if count > 1}:
        raise Unreadable(*(f"rules: {cut(name)} is the name of two rules" for name in sorted(twice)))
    return Plan((*short, *rules), default, read.allow_override)


class Router:
    """The routing as the file and the names are now; `naming` gives the table of names. Safe from any thread."""

    def __init__(
        self,
        path: Path | None,
        naming: Callable[[], Naming] = builtin,
        *,
        look_every_s: float = 0.5,
    ) -> None:
        self.file = LiveFile(path, read_plan, Plan(), look_every_s=look_every_s)
        self._naming = naming
        self._compiled: tuple[Plan, Naming, Tables] | None = None
        self._compiling = threading.Lock()

    def tables(self) -> Tables:
        """The tables of now. While another thread makes new ones, those of before."""
        plan, naming = self.file.get(), self._naming()
        kept = self._compiled
        if kept is not None and kept[0] is plan and kept[1] is naming:
            return kept[2]
        if kept is None:
            self._compiling.acquire()
        elif not self._compiling.acquire(blocking=False):
            return kept[2]
        try:
            tables = plan.compiled(naming.standard)
            self._compiled = (plan, naming, tables)
            return tables
        finally:
            self._compiling.release()

    def warnings(self) -> list[str]:
        """What in the table cannot be meant so."""
        return _remarks(self.tables().whole)


def check(path: Path, naming: Naming | None = None) -> list[str]:
    """What is wrong with a routing file, a line each; empty when nothing is."""
    try:
        plan = read_plan(read_object(path))
    except Unreadable as error:
        return list(error.findings)
    return _remarks(plan.compiled((naming or builtin()).standard).whole)


def _remarks(table: RoutingTable) -> list[str]:
    return [
        f"{rule.name} never counts: {other.name} is for the same jobs ({other.condition}) and comes first"
        for rule, other in table.shadowed()
    ]


def _rule(at: int, read: _Rule, default: Rule) -> Rule:
    name = read.name or f"rules.{at}"
    all_of_default = (*(choice.destination for choice in default.choices), *default.fallbacks)
    fallbacks: list[Destination] = []
    for place in read.fallbacks:
        fallbacks += all_of_default if place.target == _DEFAULT else [place.destination]
    return Rule(
        name,
        _choices(name, read.to),
        workflow=read.workflow or "",
        model=read.model or "",
        fallbacks=tuple(dict.fromkeys(fallbacks)),
        note=read.note,
    )


def _default_rule(read: _Document) -> Rule:
    if read.default_machine is not None:
        return Rule(DEFAULT.name, _choices("defaultMachine", read.default_machine))
    if read.default is None:
        return DEFAULT
    fallbacks = tuple(choice.destination for choice in _choices("default.fallbacks", read.default.fallbacks))
    return Rule(DEFAULT.name, _choices("default", read.default.to), fallbacks=fallbacks)


def _choices(where: str, places: tuple[_Place, ...]) -> tuple[Choice, ...]:
    if any(place.target == _DEFAULT for place in places):
        raise Unreadable(f"{where}: the word default may only stand among the fallbacks of a rule")
    return tuple(Choice(place.destination, place.weight) for place in places)


def _standardized(rule: Rule, standard: Callable[[str], str]) -> Rule:
    if not rule.workflow:
        return rule
    if is_pattern(rule.workflow):
        return replace(rule, workflow=rule.workflow.casefold().replace("_", "-").replace(" ", "-"))
    return replace(rule, workflow=standard(rule.workflow))
