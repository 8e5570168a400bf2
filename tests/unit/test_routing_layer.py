"""Jobs placed by the rules: on ComfyUIs by name, label and GPU, on other targets, on machines of ComfyUI Deploy."""

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.routing_rig import RoutingRig, routing_rig

from api.errors import Forbidden, InvalidInput, WorkflowUnusable
from api.ids import JobId
from api.jobs.placement import Arrival, Placement
from api.jobs.request import Limits, parse
from api.routing_layer import Explaining, models_of

ANYWHERE = Placement()
WITH_FALLBACKS: dict[str, Any] = {
    "rules": [{"workflow": "x", "to": "label:fast", "fallbacks": ["10.0.0.2:8188", "runpod"]}]
}
FOR_OPERATORS: dict[str, Any] = {"rules": [{"workflow": "x", "to": "label:fast"}], "allow_override": "admin"}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[RoutingRig]:
    with routing_rig(tmp_path) as made:
        yield made


def chosen(target: str = "local", label: str | None = None) -> Placement:
    return Placement(target, label, is_chosen=True)


class TestPlaces:
    @pytest.mark.parametrize(
        ("to", "placement"),
        [
            ("local", chosen()),
            ("label:FAST", chosen(label="fast")),
            ("10.0.0.2:8188", chosen(label="10.0.0.2:8188")),
            ("gpu:A100", chosen(label="gpu:a100")),
            ("runpod", chosen("runpod")),
        ],
    )
    def test_what_a_rule_says_becomes_target_and_label(self, rig: RoutingRig, to: Any, placement: Placement) -> None:
        rig.ruled({"rules": [{"workflow": "text2img", "to": to}]})
        assert rig.place("Text To Image") == placement
        assert not placement.is_movable

    def test_without_a_rule_a_job_may_go_wherever_there_is_room(self, rig: RoutingRig) -> None:
        assert rig.place("text2img") == ANYWHERE
        assert ANYWHERE.is_movable

    def test_labels_of_gpus_mean_the_comfyuis_that_have_one(self, rig: RoutingRig) -> None:
        fast, big = rig.fleet.members
        for label, member in (("gpu:rtx 4090", fast), ("gpu:a100", big), ("gpu:a100-80gb", big), ("gpu:fast", fast)):
            assert [each for each in (fast, big) if each.goes_by(label)] == [member]
        for label in ("gpu:a10", "gpu:4080", "gpu:", "gpu:—", "a100"):
            assert not (fast.goes_by(label) or big.goes_by(label))

    def test_a_rule_may_look_at_the_models_of_the_workflow_as_it_will_run(self, rig: RoutingRig) -> None:
        rig.ruled({"rules": [{"model": "flux*", "to": "gpu:A100"}]})
        workflow = {"4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl.safetensors"}}}
        assert rig.place(workflow=workflow) == ANYWHERE
        flux = {"4.ckpt_name": "Flux/flux1-dev.safetensors"}
        assert rig.place(workflow=workflow, overrides=flux) == chosen(label="gpu:a100")

    def test_other_inputs_change_nothing(self, rig: RoutingRig) -> None:
        rig.ruled({"routingRules": {"text2img": "10.0.0.1:8188"}})
        for fields in ({}, {"overrides": {"1.width": 8}}, {"priority": "high"}, {"output_format": "webp"}):
            assert rig.place("text2img", **fields) == chosen(label="10.0.0.1:8188")

    def test_jobs_are_spread_by_their_ids(self, rig: RoutingRig) -> None:
        places = [{"label": "fast", "weight": 3}, "runpod"]
        rig.ruled({"rules": [{"workflow": "x", "to": places}]})
        counted = Counter(rig.place("x", f"job-{number}").target for number in range(1000))
        assert counted["local"] == pytest.approx(750, abs=50)
        assert rig.place("x", "job-1") == rig.place("x", "job-1")


class TestWhatIsDown:
    def test_jobs_go_to_the_next_place_and_wait_when_there_is_none(self, rig: RoutingRig) -> None:
        rig.ruled(WITH_FALLBACKS)
        assert rig.place("x") == chosen(label="fast")
        rig.fleet.members[0].is_draining = True
        assert rig.place("x") == chosen(label="10.0.0.2:8188")
        rig.fleet.members[1].is_ready = False
        assert rig.place("x") == chosen("runpod")
        rig.troubles["runpod"] = "it does not answer"
        assert rig.place("x") == chosen(label="fast")
        *_, (_, reason) = rig.layer.explain(Explaining("x", models=["any.ckpt"])).route.tried
        assert reason == "it does not answer"

    def test_machines_of_deploy_that_are_down_are_passed_over_and_so_is_all_of_it(self, rig: RoutingRig) -> None:
        rig.ruled({"rules": [{"workflow": "x", "to": "m-1", "fallbacks": ["m-2", "local"]}]})
        assert rig.layer.machine_for("x", "job") == "m-1"
        rig.troubles["m-1"] = "its status is error"
        assert rig.layer.machine_for("x", "job") == "m-2"
        assert rig.layer.explain(Explaining("x")).route.tried[0][1] == "its status is error"
        rig.troubles["deploy"] = "no key is set"
        # Never elsewhere: whoever runs it has to say that the machine is down.
        assert rig.layer.machine_for("x", "job") == "m-1"

    def test_a_rule_that_leads_to_nothing_that_is_there_fails_the_job_and_not_another_place(
        self, rig: RoutingRig
    ) -> None:
        rig.ruled({"rules": [{"workflow": "x", "to": "salad"}]})
        with pytest.raises(WorkflowUnusable, match="this worker has no target salad"):
            rig.place("x")
        assert rig.place("y") == ANYWHERE
        assert rig.layer.problems() == ["rules.0 leads to salad: this worker has no target salad"]

    def test_a_gpu_that_no_comfyui_has_is_waited_for(self, rig: RoutingRig) -> None:
        rig.ruled({"rules": [{"workflow": "x", "to": "gpu:H200"}]})
        assert rig.place("x") == chosen(label="gpu:h200")
        assert "the job waits for local GPU H200" in rig.layer.explain(Explaining("x", models=["a.ckpt"])).route.why


class TestWhatARequestAsksFor:
    def test_without_rules_every_place_may_be_asked_for(self, rig: RoutingRig) -> None:
        rig.rules.unlink()
        for gpu, placement in (("local", chosen()), ("runpod", chosen("runpod")), ("Fast", chosen(label="fast"))):
            assert rig.place("x", gpu=gpu) == placement

    def test_with_rules_only_operators_may_where_the_file_says_so(self, rig: RoutingRig) -> None:
        rig.ruled(FOR_OPERATORS)
        with pytest.raises(Forbidden, match="without the operator's key"):
            rig.place("x", gpu="runpod")
        assert rig.place("x", gpu="runpod", operator=True) == chosen("runpod")
        assert rig.place("x", gpu="fast") == chosen(label="fast")
        assert rig.place("x", gpu="local") == chosen(label="fast")

    def test_a_comfyui_may_be_asked_for_by_name(self, rig: RoutingRig) -> None:
        rig.ruled({**FOR_OPERATORS, "allow_override": "all"})
        assert rig.place("x", machine_id="10.0.0.2:8188") == chosen(label="10.0.0.2:8188")
        rig.ruled({**FOR_OPERATORS, "allow_override": "none"})
        with pytest.raises(Forbidden):
            rig.place("x", machine_id="10.0.0.2:8188", operator=True)

    @pytest.mark.parametrize("asked", [{"machine_id": "m-9"}, {"gpu": "deploy"}])
    def test_a_workflow_of_its_own_is_nothing_that_deploy_runs(self, rig: RoutingRig, asked: dict[str, str]) -> None:
        rig.rules.unlink()
        with pytest.raises(InvalidInput, match=f"{next(iter(asked))} asks for ComfyUI Deploy"):
            rig.place("x", **asked)

    def test_a_place_that_is_not_there_is_a_mistake_of_the_request(self, rig: RoutingRig) -> None:
        with pytest.raises(InvalidInput, match="gpu is 'moon'"):
            rig.place("x", gpu="moon")

    def test_local_stays_local_where_no_rule_says_otherwise(self, rig: RoutingRig) -> None:
        rig.ruled(FOR_OPERATORS)
        assert rig.place("y", gpu="local") == chosen()


class TestMachines:
    def test_runs_at_deploy_are_told_theirs(self, rig: RoutingRig) -> None:
        rig.ruled({"routingRules": {"text2img": "m-1", "local one": "label:fast"}, "defaultMachine": "m-0"})
        asked = [rig.layer.machine_for(name, "job") for name in ("Text2Image v2", "other", None, "local one")]
        assert asked == ["m-1", "m-0", "m-0", "m-0"]

    @pytest.mark.parametrize(
        ("allow", "operator", "fields", "is_allowed"),
        [
            ("all", False, {"name": "text2img", "machine_id": "m-9"}, True),
            ("admin", True, {"deployment_id": "d-1", "machine_id": "m-9"}, True),
            ("admin", False, {"deployment_id": "d-1", "machine_id": "m-9"}, False),
            ("none", True, {"name": "text2img", "machine_id": "m-9"}, False),
            ("none", False, {"name": "Text to Image", "machine_id": "m-1"}, True),
            ("none", False, {"name": "text2img"}, True),
            ("none", False, {"name": "text2img", "gpu": "H100"}, False),
            ("all", False, {"name": "text2img", "gpu": "H100"}, True),
        ],
    )
    def test_a_deployment_may_name_its_machine_where_the_rules_let_it(
        self, rig: RoutingRig, allow: str, operator: bool, fields: dict[str, str], is_allowed: bool
    ) -> None:
        rig.ruled({"routingRules": {"text2img": "m-1"}, "allow_override": allow})
        with nullcontext() if is_allowed else pytest.raises(Forbidden):
            placement = rig.place(operator=operator, workflow=None, deployment={**fields, "inputs": {}})
            assert placement == chosen("deploy", fields.get("machine_id"))

    @pytest.mark.parametrize("field", ["deployment_id", "workflow_id", "workflow_version_id", "name"])
    def test_an_id_in_place_of_the_name_is_no_way_around_its_rule(self, rig: RoutingRig, field: str) -> None:
        rig.ruled({"routingRules": {"text2img": "m-1"}, "defaultMachine": "m-0", "allow_override": "none"})
        layer = replace(rig.layer, deployed_name=lambda spec: {"some-id": "Text to Image"}[spec.wanted])
        for machine, is_allowed in (("m-1", True), ("m-0", False)):
            deployment = {field: "some-id", "machine_id": machine}
            request = parse({"input": {"deployment": deployment}}, Limits())
            with nullcontext() if is_allowed else pytest.raises(Forbidden):
                layer.place(Arrival(JobId("job"), request))


def test_changes_of_both_files_count_at_once(rig: RoutingRig) -> None:
    one, two = (chosen(label=member.name) for member in rig.fleet.members)
    rig.ruled({"routingRules": {"portrait": "10.0.0.1:8188"}})
    assert rig.place("Face") == ANYWHERE
    rig.named({"workflows": [{"standard": "portrait", "api": "Face"}]})
    assert rig.place("Face") == one
    rig.ruled({"routingRules": {"portrait": "10.0.0.2:8188"}})
    assert rig.place("Face") == two


def test_broken_files_are_told_and_the_last_sound_ones_stay(rig: RoutingRig) -> None:
    rig.ruled({"routingRules": {"portrait": "label:fast"}})
    assert rig.layer.problems() == []
    rig.ruled("{")
    rig.named({"workflows": 7})
    assert rig.place("portrait") == chosen(label="fast")
    names, routing = rig.layer.problems()
    assert names.startswith("names.json: workflows: ")
    assert routing.startswith("routing.json: is not JSON: ")


def test_a_workflow_of_the_worker_is_explained_with_its_models(rig: RoutingRig) -> None:
    rig.ruled({"rules": [{"model": "4x*", "to": "label:fast"}]})
    explained = rig.layer.explain(Explaining("Upscaler"))
    assert list(explained.models) == ["4x_NMKD-Siax_200k.pth"]
    assert (explained.route.rule, explained.also) == ("rules.0", ("default",))


@pytest.mark.parametrize("workflow", [{}, {"1": 7}, {"1": {"inputs": 3}}, {"nodes": []}, {"1": {"inputs": {"a": {}}}}])
def test_models_of_what_is_no_workflow_are_none(workflow: dict[str, Any]) -> None:
    assert list(models_of(workflow)) == []
