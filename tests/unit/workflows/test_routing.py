"""Where a job goes by a table of rules: which rule counts, how jobs are spread, what happens when places are down."""

import re
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Forbidden
from api.workflows.naming import standardize_workflow_name
from api.workflows.routing import (
    ANYWHERE,
    DEFAULT,
    Ask,
    Choice,
    Destination,
    RoutingTable,
    Rule,
    ordered,
)
from api.workflows.routing_index import Index

A, B, C = (Destination("deploy", machine) for machine in "abc")
FAST = Destination("local", label="fast")


def to(*places: Destination) -> tuple[Choice, ...]:
    return tuple(Choice(place) for place in places)


def table(*rules: Rule, default: Destination = ANYWHERE, **options: object) -> RoutingTable:
    return RoutingTable(
        rules,
        Rule("default", to(default)),
        standard=standardize_workflow_name,
        **options,  # type: ignore[arg-type]
    )


def down(*places: Destination) -> Callable[[Destination], str | None]:
    return lambda place: "is away" if place in places else None


class TestWhichRuleCounts:
    rules = table(
        Rule("everything of video", to(A), workflow="video-*"),
        Rule("the big film", to(B), workflow="video-long"),
        Rule("flux", to(C), model="flux*.safetensors"),
        Rule("flux portraits", to(FAST), workflow="portrait", model="flux1-dev.safetensors"),
        Rule("pictures", to(A), workflow="text2img"),
        default=B,
    )

    @pytest.mark.parametrize(
        ("workflow", "models", "rule"),
        [
            ("text2img", [], "pictures"),
            ("Text To Image v2", [], "pictures"),
            ("video-short", [], "everything of video"),
            ("Video Short", [], "everything of video"),
            # A name goes before a pattern, wherever they stand.
            ("video-long", [], "the big film"),
            (None, ["flux1-dev.safetensors"], "flux"),
            (None, ["other.ckpt", "SDXL\\FLUX1-dev.safetensors"], "flux"),
            # A rule fits in all that it says, or not at all.
            ("portrait", ["flux1-dev.safetensors"], "flux portraits"),
            ("portrait", ["flux1-schnell.safetensors"], "flux"),
            ("portrait", [], "default"),
            # Among patterns and models the first one counts.
            ("video-short", ["flux.safetensors"], "everything of video"),
            ("unheard-of", [], "default"),
            (None, [], "default"),
            ("", [], "default"),
            ("—", ["x.safetensors"], "default"),
        ],
    )
    def test_the_closest_one(self, workflow: str | None, models: list[str], rule: str) -> None:
        ask = Ask(workflow, models)
        assert self.rules.route(ask).rule == rule
        assert self.rules.matching(ask)[0].name == rule
        assert self.rules.matching(ask)[-1].name == "default"

    def test_all_that_fit_are_told_in_their_order(self) -> None:
        ask = Ask("video-long", ["flux.safetensors"])
        names = [rule.name for rule in self.rules.matching(ask)]
        assert names == ["the big film", "everything of video", "flux", "default"]

    def test_why_names_rule_condition_and_place(self) -> None:
        route = self.rules.route(Ask("txt2img"))
        assert route.standard == "text2img"
        assert route.why == "pictures fits (workflow text2img): it goes to deploy machine a."
        assert self.rules.route(Ask("x")).why == "No rule fits workflow x: it goes to deploy machine b."
        assert "a job without a workflow's name" in self.rules.route(Ask()).why

    def test_without_rules_a_job_goes_anywhere(self) -> None:
        assert RoutingTable().route(Ask("text2img")).destination == ANYWHERE

    def test_rules_that_never_count_are_told(self) -> None:
        first, second = Rule("one", to(A), workflow="x"), Rule("two", to(B), workflow="x")
        other = Rule("three", to(B), workflow="x", model="m.ckpt")
        assert RoutingTable([first, second, other]).shadowed() == [(second, first)]

    def test_models_are_asked_for_only_where_a_rule_needs_them(self) -> None:
        assert self.rules.asks_for_models
        assert not table(Rule("one", to(A), workflow="x")).asks_for_models


class TestPlacesThatAreDown:
    rule = Rule("rule", to(A), workflow="x", fallbacks=(B, FAST))

    @pytest.mark.parametrize(
        ("away", "goes_to"), [((), A), ((B,), A), ((A,), B), ((A, B), FAST)], ids=["none", "unused", "first", "two"]
    )
    def test_the_next_one_takes_the_job(self, away: Sequence[Destination], goes_to: Destination) -> None:
        route = table(self.rule).route(Ask("x"), down(*away))
        assert (route.destination, route.is_up) == (goes_to, True)
        assert [place for place, _ in route.tried] == [place for place in (A, B, FAST) if place in away][: len(away)][
            : (A, B, FAST).index(goes_to)
        ]

    def test_what_was_passed_over_is_told_with_the_reason(self) -> None:
        route = table(self.rule).route(Ask("x"), down(A))
        assert route.tried == ((A, "is away"),)
        assert "deploy machine a is passed over: is away" in route.why

    def test_when_none_is_up_the_job_waits_for_the_first_and_goes_nowhere_else(self) -> None:
        route = table(self.rule, default=C).route(Ask("x"), down(A, B, FAST))
        assert (route.destination, route.is_up) == (A, False)
        assert [place for place, _ in route.tried] == [A, B, FAST]
        assert "waits for deploy machine a" in route.why

    def test_the_default_that_is_down_is_waited_for(self) -> None:
        route = table(default=C).route(Ask("x"), down(C))
        assert (route.destination, route.is_up, route.rule) == (C, False, "default")

    def test_spread_jobs_stay_among_their_places_before_they_fall_back(self) -> None:
        rules = table(Rule("rule", to(A, B), workflow="x", fallbacks=(C,)))
        assert {rules.route(Ask("x", key=str(at)), down(A)).destination for at in range(50)} == {B}
        assert rules.route(Ask("x", key="1"), down(A, B)).destination == C


class TestWeights:
    choices = (Choice(A, 3.0), Choice(B, 1.0), Choice(C, 4.0))
    rules = table(Rule("rule", choices, workflow="x"))

    def placed(self, away: Sequence[Destination] = (), jobs: int = 4000) -> dict[str, Destination]:
        keys = [f"job-{at}" for at in range(jobs)]
        return {key: self.rules.route(Ask("x", key=key), down(*away)).destination for key in keys}

    def test_a_job_goes_to_the_same_place_every_time(self) -> None:
        assert self.placed(jobs=200) == self.placed(jobs=200)

    def test_jobs_are_spread_by_weight(self) -> None:
        counted = Counter(self.placed().values())
        for choice in self.choices:
            assert counted[choice.destination] / 4000 == pytest.approx(choice.weight / 8, abs=0.03)

    def test_when_one_goes_down_only_its_jobs_move_by_the_weights_of_the_others(self) -> None:
        before, after = self.placed(), self.placed(away=[C])
        assert all(after[key] == place for key, place in before.items() if place != C)
        moved = Counter(after[key] for key, place in before.items() if place == C)
        assert moved[A] / sum(moved.values()) == pytest.approx(3 / 4, abs=0.04)

    def test_the_order_does_not_hang_on_how_the_file_lists_them(self) -> None:
        for key in map(str, range(50)):
            assert ordered(self.choices, key) == ordered(self.choices[::-1], key)

    @given(st.text(), st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=6))
    def test_all_places_are_tried_each_once(self, key: str, weights: list[float]) -> None:
        choices = [Choice(Destination("deploy", str(at)), weight) for at, weight in enumerate(weights)]
        found = ordered(choices, key)
        assert sorted(place.machine for place in found) == sorted(choice.destination.machine for choice in choices)

    def test_why_says_that_it_is_one_of_several(self) -> None:
        assert "one of several by weight and the job's id" in self.rules.route(Ask("x", key="1")).why


class TestWhatARequestAsksFor:
    rule = Rule("rule", (Choice(FAST), Choice(A)), workflow="x")

    @pytest.mark.parametrize(("allow", "is_admin"), [("all", False), ("all", True), ("admin", True)])
    def test_goes_before_the_rules_for_those_who_may(self, allow: str, is_admin: bool) -> None:
        route = table(self.rule, allow_override=allow).route(Ask("x", wanted=B, is_admin=is_admin))
        assert (route.destination, route.rule, route.is_up) == (B, "request", True)

    @pytest.mark.parametrize(("allow", "is_admin"), [("none", False), ("none", True), ("admin", False)])
    def test_is_refused_to_others(self, allow: str, is_admin: bool) -> None:
        with pytest.raises(Forbidden, match=re.escape("local label fast or deploy machine a by rule")):
            table(self.rule, allow_override=allow).route(Ask("x", wanted=B, is_admin=is_admin))

    def test_what_the_rule_says_anyway_needs_no_permission(self) -> None:
        rules = table(self.rule, allow_override="none")
        for key in map(str, range(20)):
            assert rules.route(Ask("x", key=key, wanted=Destination("local"))).destination == FAST
            assert rules.route(Ask("x", key=key, wanted=Destination("DEPLOY"))).destination == A

    def test_nothing_asked_for_is_no_claim(self) -> None:
        assert table(self.rule, allow_override="none").route(Ask("x", wanted=ANYWHERE)).rule == "rule"

    def test_where_no_rule_says_otherwise_a_job_may_insist_on_the_worker_itself(self) -> None:
        rules = table(self.rule, allow_override="none")
        assert rules.route(Ask("y", wanted=Destination("local"))).destination == Destination("local")
        with pytest.raises(Forbidden):
            rules.route(Ask("y", wanted=Destination("runpod")))
        with pytest.raises(Forbidden):
            rules.route(Ask("y", wanted=FAST))

    def test_a_place_that_is_down_is_waited_for(self) -> None:
        route = table(self.rule).route(Ask("x", wanted=B), down(B))
        assert (route.destination, route.is_up, route.tried) == (B, False, ((B, "is away"),))

    def test_the_rule_that_is_one_of_the_built_in_default_is_named_so(self) -> None:
        assert DEFAULT.condition == "any job"


class TestPatterns:
    @pytest.mark.parametrize(
        ("term", "text", "fits"),
        [
            ("video-*", "video-", True),
            ("video-*", "a-video-b", False),
            ("*-video", "my-video", True),
            ("a?c", "abc", True),
            ("a[bd]c", "adc", True),
            ("a[!b]c", "abc", False),
            ("*", "", True),
            ("*", "anything", True),
            ("flux*dev*", "FLUX1-dev-fp8.safetensors", True),
            ("sdxl/*", "SDXL\\base.safetensors", True),
            ("base.safetensors", "SDXL/base.safetensors", True),
            ("SDXL/base.safetensors", "base.safetensors", False),
            ("[z-a]", "z", False),
            ("[", "x", False),
        ],
    )
    def test_what_fits(self, term: str, text: str, fits: bool) -> None:
        assert bool(Index([term]).find(text)) is fits

    @given(st.lists(st.text(alphabet="ab*?[]!", max_size=6), max_size=12), st.text(alphabet="ab[]!", max_size=8))
    def test_quick_ones_are_found_like_slow_ones(self, terms: list[str], text: str) -> None:
        wild = set("*?[")
        slow = {
            at
            for at, term in enumerate(terms)
            if term and (fnmatchcase(text, term) if wild & {*term} else term == text)
        }
        index = Index(terms)
        assert index.find(text) == slow
        assert index.find(text) == slow

    def test_callers_who_make_up_names_fill_no_memory(self) -> None:
        index = Index(["*x"])
        tracemalloc.start()
        try:
            assert all(index.find(f"a{at}" + "x" * 2000) for at in range(10_000))
            kept_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept_bytes < 6_000_000
