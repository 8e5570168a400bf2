"""The routing rules as people write them: both forms, what is refused and where, and changes while jobs come in."""

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from api.errors import Forbidden
from api.workflows import naming
from api.workflows.naming_table import NameEntry, Naming
from api.workflows.routing import ANYWHERE, Ask, Destination, Route
from api.workflows.routing_file import Router, check, destination_of, read_plan

SHORT: dict[str, Any] = {
    "routingRules": {"text2img": "machine-id-1", "inpaint": "machine-id-2"},
    "defaultMachine": "machine-id-default",
}
LONG: dict[str, Any] = {
    "allow_override": "admin",
    "rules": [
        {"name": "films", "workflow": "*2video", "to": {"label": "h100"}, "fallbacks": ["runpod", "default"]},
        {
            "workflow": "Text To Image",
            "to": [{"machine": "10.0.0.2:8188", "weight": 3}, {"gpu_type": "A100", "weight": 1}],
            "note": "The big card takes a quarter.",
        },
        {"model": "flux*", "to": "deploy"},
    ],
    "default": {"to": "local", "fallbacks": ["salad"]},
}


def write(path: Path, document: Any) -> Path:
    new = path.with_suffix(".new")
    new.write_text(document if isinstance(document, str) else json.dumps(document))
    return new.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "routing.json"


def route(router: Router, workflow: str | None, *models: str) -> Route:
    return router.tables().whole.route(Ask(workflow, models, "job"))


class TestTheShortForm:
    @pytest.mark.parametrize(
        ("workflow", "machine"),
        [
            ("text2img", "machine-id-1"),
            ("Text to Image v3", "machine-id-1"),
            ("Inpainting", "machine-id-2"),
            ("anything else", "machine-id-default"),
            (None, "machine-id-default"),
        ],
    )
    def test_sends_each_workflow_to_its_machine(self, path: Path, workflow: str | None, machine: str) -> None:
        router = Router(write(path, SHORT))
        assert route(router, workflow).destination == Destination("deploy", machine)

    def test_requests_may_not_choose_by_themselves(self, path: Path) -> None:
        with pytest.raises(Forbidden):
            Router(write(path, SHORT)).tables().whole.route(Ask("text2img", wanted=Destination("salad")))

    def test_needs_no_default(self, path: Path) -> None:
        router = Router(write(path, {"routingRules": SHORT["routingRules"]}))
        assert route(router, "other").destination == ANYWHERE

    def test_two_spellings_of_one_workflow_are_told(self, path: Path) -> None:
        write(path, {"routingRules": {"text2img": "a", "Text To Image": "b"}})
        [remark] = check(path)
        assert "routingRules.Text To Image never counts" in remark
        assert route(Router(path), "txt2img").destination.machine == "a"
        assert Router(path).warnings() == [remark]


class TestTheLongForm:
    def test_is_read_whole(self) -> None:
        plan = read_plan(LONG)
        films, pictures, flux = plan.rules
        assert films.fallbacks == (Destination("runpod"), Destination("local"), Destination("salad"))
        assert [(str(choice.destination), choice.weight) for choice in pictures.choices] == [
            ("local machine 10.0.0.2:8188", 3.0),
            ("local GPU A100", 1.0),
        ]
        assert [rule.name for rule in plan.rules] == ["films", "rules.1", "rules.2"]
        assert flux.choices[0].destination == Destination("deploy")
        assert (plan.allow_override, plan.default.fallbacks) == ("admin", (Destination("salad"),))

    @pytest.mark.parametrize(
        ("workflow", "models", "rule"),
        [("img2vid", (), "films"), ("txt2img", (), "rules.1"), (None, ("Flux.gguf",), "rules.2"), ("x", (), "default")],
    )
    def test_sends_jobs_by_it(self, path: Path, workflow: str | None, models: tuple[str, ...], rule: str) -> None:
        assert route(Router(write(path, LONG)), workflow, *models).rule == rule

    def test_may_be_mixed_with_the_short_one_which_goes_before(self, path: Path) -> None:
        router = Router(write(path, {**LONG, "routingRules": {"text2img": "m"}}))
        assert route(router, "text2img").rule == "routingRules.text2img"
        assert route(router, "text2video").rule == "films"

    @pytest.mark.parametrize(
        ("text", "destination"),
        [
            ("local", Destination("local")),
            ("salad", Destination("salad")),
            ("target:farm", Destination("farm")),
            ("label:fast", Destination("local", label="fast")),
            ("gpu:RTX 4090", Destination("local", gpu_type="RTX 4090")),
            ("machine:10.0.0.2:8188", Destination("local", "10.0.0.2:8188")),
            ("10.0.0.2:8188", Destination("local", "10.0.0.2:8188")),
            ("6f1c-id", Destination("deploy", "6f1c-id")),
        ],
    )
    def test_a_destination_may_be_one_word(self, text: str, destination: Destination) -> None:
        assert destination_of(text) == destination


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ('{"rules": [}', "is not JSON: Expecting value at line 1, column 12"),
        ('{"routingRules": {"a": "1", "a": "2"}}', "a is there twice"),
        ({"rules": [{"to": "local"}]}, "rules.0: name a workflow or a model"),
        ({"rules": [{"workflow": "a"}]}, "rules.0.to: field required"),
        ({"rules": [{"workflow": "a", "to": []}]}, "rules.0.to: "),
        ({"rules": [{"workflow": " ", "to": "local"}]}, "rules.0.workflow: must be a printable text"),
        ({"rules": [{"workflow": "a", "to": {"machin": "1"}}]}, "rules.0.to.0.machin: extra inputs"),
        ({"rules": [{"workflow": "a", "to": {"target": "x", "weight": 0}}]}, "rules.0.to.0.weight: input should be gr"),
        ({"rules": [{"workflow": "a", "to": {"target": "x", "weight": "NaN"}}]}, "rules.0.to.0.weight: "),
        ({"default": {"label": "a", "gpu_type": "b"}}, "default.to.0: give one of machine, label and gpu_type"),
        ({"defaultMachine": {}}, "defaultMachine.0: says nothing"),
        ({"default": {"target": "runpod", "label": "a"}}, "default.to.0: runpod takes no label"),
        ({"default": {"target": "deploy", "gpu_type": "T4"}}, "default.to.0: deploy takes no gpu_type"),
        ({"rules": [{"workflow": "a", "to": ""}]}, "rules.0.to.0: an empty text is no destination"),
        ({"rules": [{"workflow": "a", "to": "default"}]}, "the word default may only stand among the fallbacks"),
        ({"rules": [{"name": "x", "workflow": w, "to": "local"} for w in "ab"]}, "x is the name of two rules"),
        ({"default": "local", "defaultMachine": "m"}, "two defaults"),
        ({"allow_override": "everybody"}, "allow_override: input should be 'none', 'admin' or 'all'"),
        ({"rulez": []}, "rulez: extra inputs"),
        ({"routingRules": {"text2img": 7}}, "routingRules.text2img.0: "),
        ([1], "must hold an object"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_place_and_the_last_sound_rules_stay(
    path: Path, document: Any, told: str
) -> None:
    router = Router(write(path, SHORT), look_every_s=0)
    before = router.tables()
    write(path, document)
    assert router.tables() is before
    assert router.file.problem
    assert told in router.file.problem
    assert any(told in line for line in check(path))
    assert route(router, "text2img").destination.machine == "machine-id-1"


class TestWhileJobsComeIn:
    def test_a_changed_file_counts_from_the_next_job_on(self, path: Path) -> None:
        router = Router(write(path, SHORT), look_every_s=0)
        assert route(router, "text2img").destination.machine == "machine-id-1"
        write(path, {"routingRules": {"text2img": "machine-id-9"}})
        assert route(router, "text2img").destination.machine == "machine-id-9"
        assert router.tables() is router.tables()

    def test_changed_names_count_for_the_rules_as_well(self, path: Path) -> None:
        names = [naming.builtin()]
        router = Router(write(path, {"routingRules": {"My Portrait": "m"}}), lambda: names[0])
        assert route(router, "face").rule == "default"
        names[0] = Naming((), over=[NameEntry("portrait", aliases=("face", "my portrait"))])
        assert route(router, "face").rule == "routingRules.My Portrait"

    def test_without_a_file_everything_is_as_if_there_were_no_rules(self) -> None:
        router = Router(None)
        assert route(router, "text2img").destination == ANYWHERE
        wanted = Destination("salad")
        assert router.tables().whole.route(Ask("text2img", wanted=wanted)).destination == wanted
        assert (router.file.problem, router.warnings()) == (None, [])

    def test_a_file_that_is_away_is_told(self, path: Path) -> None:
        router = Router(path, look_every_s=0)
        assert route(router, "x").destination == ANYWHERE
        assert router.file.problem == "routing.json: cannot be read: No such file or directory"


class TestKindsOfJobs:
    RULES = MappingProxyType(
        {
            "rules": [
                {"name": "both", "workflow": "a", "to": ["m-1", {"label": "fast", "weight": 2}], "fallbacks": ["m-2"]},
                {"name": "there", "workflow": "b", "to": "m-1", "fallbacks": ["m-2"]},
                {"name": "there, else here", "workflow": "c", "to": "m-1", "fallbacks": ["local", "runpod"]},
            ],
            "default": "m-0",
        }
    )

    @pytest.mark.parametrize(
        ("workflow", "here", "there"),
        [
            ("a", ("both", "local label fast"), ("both", "deploy machine m-1")),
            ("b", ("default", "anywhere"), ("there", "deploy machine m-1")),
            ("c", ("there, else here", "local"), ("there, else here", "deploy machine m-1")),
            ("d", ("default", "anywhere"), ("default", "deploy machine m-0")),
        ],
    )
    def test_each_sees_the_places_it_can_go_to(
        self, path: Path, workflow: str, here: tuple[str, str], there: tuple[str, str]
    ) -> None:
        tables = Router(write(path, dict(self.RULES))).tables()
        for table, expected in ((tables.workflows, here), (tables.deployments, there)):
            found = table.route(Ask(workflow, key="job"))
            assert (found.rule, str(found.destination)) == expected

    def test_a_run_of_a_deployment_falls_back_to_other_machines_only(self, path: Path) -> None:
        table = Router(write(path, dict(self.RULES))).tables().deployments
        found = table.route(Ask("c"), lambda place: "is away" if place.machine == "m-1" else None)
        assert (found.destination.machine, found.is_up) == ("m-1", False)
        found = table.route(Ask("b"), lambda place: "is away" if place.machine == "m-1" else None)
        assert (found.destination.machine, found.is_up) == ("m-2", True)
