"""Where a job is to run, by rules: exact names first, then patterns and models in their order, then the default.

Pure decisions over a compiled table. What is up is told by whoever asks; nothing is asked over the wire.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import Forbidden
from .routing_index import Index

LOCAL, DEPLOY = "local", "deploy"
AllowOverride = Literal["none", "admin", "all"]


@dataclass(frozen=True, slots=True)
class Destination:
    """A place to run. What is empty may be any; all empty: wherever there is room.

    `target` is local, deploy, runpod, salad …; `machine` a ComfyUI's host:port or a machine's id at ComfyUI Deploy.
    """

    target: str = ""
    machine: str = ""
    label: str = ""
    gpu_type: str = ""

    def __str__(self) -> str:
        named = (("machine", self.machine), ("label", self.label), ("GPU", self.gpu_type))
        told = [f"{word} {value}" for word, value in named if value]
        return " ".join([self.target, *told]).strip() or "anywhere"

    def covers(self, other: "Destination") -> bool:
        """Whether whoever is sent here is where `other` asks for."""
        pairs = zip(_parts(self), _parts(other), strict=True)
        return all(not theirs or ours.casefold() == theirs.casefold() for ours, theirs in pairs)


ANYWHERE = Destination()


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several destinations, with its share of the jobs."""

    destination: Destination
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Rule:
    """`workflow` is a standard name or a pattern, `model` a file or a pattern; where both are given both must fit.

    Jobs are spread over `choices` by weight; `fallbacks` are taken in their order when none of those is up.
    """

    name: str
    choices: tuple[Choice, ...]
    workflow: str = ""
    model: str = ""
    fallbacks: tuple[Destination, ...] = ()
    note: str = ""

    @property
    def condition(self) -> str:
        """In words."""
        parts = [f"workflow {self.workflow}" if self.workflow else "", f"model {self.model}" if self.model else ""]
        return " and ".join(filter(None, parts)) or "any job"


@dataclass(frozen=True, slots=True)
class Ask:
    """A job to be sent somewhere. `key` (its id) decides among weighted destinations, the same way every time.

    `wanted` is what the request itself asks for, `is_admin` whether an operator does.
    """

    workflow: str | None = None
    models: Collection[str] = ()
    key: str = ""
    wanted: Destination | None = None
    is_admin: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """`tried` are the destinations passed over, with the reason. Not `is_up`: nothing is, the job has to wait there."""

    destination: Destination
    rule: str
    why: str
    is_up: bool = True
    standard: str = ""
    tried: tuple[tuple[Destination, str], ...] = ()


# Why a destination takes no jobs now; None when it does.
Unavailable = Callable[[Destination], str | None]


def always_up(_destination: Destination) -> str | None:
    """Every destination takes jobs."""
    return None


DEFAULT = Rule("default", (Choice(ANYWHERE),))
# Stands for a rule where the request itself has chosen.
REQUEST = "request"


class RoutingTable:
    """Compiled once, never changed. `standard` makes the standard name of a workflow's name."""

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        default: Rule = DEFAULT,
        *,
        allow_override: AllowOverride = "all",
        standard: Callable[[str], str] = lambda name: name,
    ) -> None:
        self.rules = tuple(rules)
        self.default = default
        self.allow_override = allow_override
        self._standard = standard
        self._by_workflow = Index([rule.workflow for rule in self.rules])
        self._by_model = Index([rule.model for rule in self.rules])

    def narrowed(self, is_usable: Callable[[Destination], bool]) -> "RoutingTable":
        """The same without the destinations that jobs of one kind cannot go to, and without rules that lead nowhere."""
        kept = [each for rule in self.rules if (each := _narrowed(rule, is_usable))]
        default = _narrowed(self.default, is_usable) or DEFAULT
        return RoutingTable(kept, default, allow_override=self.allow_override, standard=self._standard)

    @property
    def asks_for_models(self) -> bool:
        """Whether the models of a job matter to any rule."""
        return any(rule.model for rule in self.rules)

    def route(self, ask: Ask, unavailable: Unavailable = always_up) -> Route:
        """Where the job goes. Raises Forbidden when the request asks for another place and may not."""
        standard = self._standard(ask.workflow) if ask.workflow else ""
        rule = self._rule(standard, ask.models)
        wanted = ask.wanted
        if wanted and wanted != ANYWHERE and not any(choice.destination.covers(wanted) for choice in rule.choices):
            return self._overridden(wanted, rule, ask, standard, unavailable)
        # What the request asks for may be one of the rule's destinations.
        fitting = [choice for choice in rule.choices if not wanted or choice.destination.covers(wanted)]
        return _chosen(rule, fitting, ask.key, standard, unavailable)

    def matching(self, ask: Ask) -> tuple[Rule, ...]:
        """All rules that fit, the one that counts first, the default last."""
        found = self._matching(self._standard(ask.workflow) if ask.workflow else "", ask.models)
        order = sorted(found, key=self._rank)
        return (*(self.rules[at] for at in order), self.default)

    def shadowed(self) -> list[tuple[Rule, Rule]]:
        """Rules that never count, each with the one that always goes before it."""
        first: dict[tuple[str, str], Rule] = {}
        found = []
        for rule in self.rules:
            other = first.setdefault((rule.workflow, rule.model.casefold()), rule)
            if other is not rule:
                found.append((rule, other))
        return found

    def _rule(self, standard: str, models: Collection[str]) -> Rule:
        found = self._matching(standard, models)
        return self.rules[min(found, key=self._rank)] if found else self.default

    def _rank(self, at: int) -> tuple[bool, int]:
        return not self._by_workflow.is_exact(at), at

    def _matching(self, standard: str, models: Collection[str]) -> set[int]:
        named = self._by_workflow.find(standard)
        needing: set[int] = set()
        for model in models if self._by_model.terms else ():
            needing |= self._by_model.find(model)
        # A rule has to fit in all that it says.
        by_name = {at for at in named if not self.rules[at].model or at in needing}
        return by_name | {at for at in needing if not self.rules[at].workflow}

    def _overridden(self, wanted: Destination, rule: Rule, ask: Ask, standard: str, unavailable: Unavailable) -> Route:
        if not self._may_choose(wanted, rule, ask):
            who = "requests" if self.allow_override == "none" else "requests without the operator's key"
            there = " or ".join(str(choice.destination) for choice in rule.choices)
            raise Forbidden(
                f"The job goes to {there} by {rule.name}, and {who} may not choose another place "
                f"({wanted}): leave gpu and machine_id out, or have allow_override changed in the routing file."
            )
        trouble = unavailable(wanted)
        why = f"The request asks for {wanted}." + (
            f" It is not up: {trouble}; the job waits for it." if trouble else ""
        )
        return Route(wanted, REQUEST, why, trouble is None, standard, ((wanted, trouble),) if trouble else ())

    def _may_choose(self, wanted: Destination, rule: Rule, ask: Ask) -> bool:
        if self.allow_override == "all" or (self.allow_override == "admin" and ask.is_admin):
            return True
        # Where the rule leaves everything open, to insist on the worker itself is no claim to anything else.
        return wanted == Destination(LOCAL) and all(choice.destination == ANYWHERE for choice in rule.choices)


def _narrowed(rule: Rule, is_usable: Callable[[Destination], bool]) -> Rule | None:
    choices = tuple(choice for choice in rule.choices if is_usable(choice.destination))
    fallbacks = tuple(place for place in rule.fallbacks if is_usable(place))
    if not choices and fallbacks:
        choices, fallbacks = (Choice(fallbacks[0]),), fallbacks[1:]
    return replace(rule, choices=choices, fallbacks=fallbacks) if choices else None


def ordered(choices: Sequence[Choice], key: str) -> list[Destination]:
    """The destinations in the order in which the job of that key tries them, by weighted rendezvous hashing.

    Each job has its own order: when one goes down, its jobs alone move, spread over the others by their weights.
    """
    if len(choices) == 1:
        return [choices[0].destination]
    scored = sorted(choices, key=lambda choice: _score(choice, key), reverse=True)
    return [choice.destination for choice in scored]


def _score(choice: Choice, key: str) -> float:
    text = "\0".join((key, *_parts(choice.destination)))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    share = (int.from_bytes(digest) + 0.5) / 2**64
    return -choice.weight / math.log(share) if share < 1 else math.inf


def _chosen(rule: Rule, choices: Sequence[Choice], key: str, standard: str, unavailable: Unavailable) -> Route:
    preferred = ordered(choices, key)
    tried: list[tuple[Destination, str]] = []
    for destination in (*preferred, *rule.fallbacks):
        trouble = unavailable(destination)
        if trouble is None:
            why = _why(rule, destination, standard, tried, is_spread=len(choices) > 1)
            return Route(destination, rule.name, why, True, standard, tuple(tried))
        tried.append((destination, trouble))
    told = "; ".join(f"{place}: {trouble}" for place, trouble in tried)
    why = f"By {rule.name} ({rule.condition}). None of its places is up ({told}); the job waits for {preferred[0]}."
    return Route(preferred[0], rule.name, why, False, standard, tuple(tried))


def _why(
    rule: Rule, destination: Destination, standard: str, tried: Sequence[tuple[Destination, str]], *, is_spread: bool
) -> str:
    subject = f"workflow {standard}" if standard else "a job without a workflow's name"
    reason = f"No rule fits {subject}" if rule.name == DEFAULT.name else f"{rule.name} fits ({rule.condition})"
    passed = "; ".join(f"{place} is passed over: {trouble}" for place, trouble in tried)
    spread = ", one of several by weight and the job's id" if is_spread else ""
    there = f"to {destination}" if destination != Destination() else "anywhere"
    return f"{reason}: it goes {there}{spread}." + (f" {passed}." if passed else "")


def _parts(destination: Destination) -> tuple[str, str, str, str]:
    return destination.target, destination.machine, destination.label, destination.gpu_type
