"""/api/deploy/routing over HTTP, and jobs that the rules place: by whoever sends them, without a restart."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.api_rig import ApiRig, api_rig, workflow
from support.routing_rig import RoutingRig, routing_rig

from api.ids import JobId
from api.jobs.job import Job
from api.routes import routing
from api.routes.auth import Guard

RULES: dict[str, Any] = {
    "allow_override": "admin",
    "rules": [
        {
            "name": "pictures",
            "workflow": "text2img",
            "to": [{"label": "fast", "weight": 3}, {"machine": "m-1", "weight": 1}],
            "fallbacks": ["runpod", "m-2"],
            "note": "Mostly at home.",
        },
        {"name": "flux", "model": "flux*", "to": "gpu:A100"},
    ],
    "default": "local",
}
OPERATOR = {"Authorization": "Bearer operator"}
PATH = "/api/deploy/routing"


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoutingRig]:
    with routing_rig(tmp_path_factory.mktemp("routing")) as made:
        yield made


@pytest.fixture(scope="module")
def api(rules: RoutingRig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiRig]:
    folder = tmp_path_factory.mktemp("api")
    more = lambda _rig, _links: [routing.router(rules.layer)]  # noqa: E731
    guard = Guard(["user"], "operator")
    with api_rig(folder, guard, "user", more, place=rules.layer.place) as made:
        made.hold()
        yield made


@pytest.fixture(autouse=True)
def ruled(rules: RoutingRig) -> Iterator[None]:
    rules.ruled(RULES)
    rules.named({})
    yield
    rules.troubles.clear()
    rules.fleet.members[0].is_draining = False


def explain(api: ApiRig, expected: int = 200, headers: dict[str, str] | None = None, **asked: Any) -> dict[str, Any]:
    answer = api.post(f"{PATH}/explain", json=asked, headers=headers)
    assert answer.status_code == expected, answer.text
    found: dict[str, Any] = answer.json()
    return found


def submitted(api: ApiRig, headers: dict[str, str] | None = None, **fields: Any) -> Job:
    answer = api.post("/run", json={"workflow": workflow(), **fields}, headers=headers)
    assert answer.status_code == 202, answer.text
    return api.jobs.service.get(JobId(answer.json()["job_id"]))


def test_the_rules_in_force_are_told(api: ApiRig, rules: RoutingRig) -> None:
    rules.troubles["m-1"] = "its status is error"
    told = api.get(PATH).json()
    assert told["allow_override"] == "admin"
    assert (told["routing"]["file"], told["routing"]["problem"]) == ("routing.json", None)
    assert told["routing"]["loaded_at"] > 1_700_000_000
    pictures, flux = told["rules"]
    assert (pictures["name"], pictures["workflow"], pictures["note"]) == ("pictures", "text2img", "Mostly at home.")
    at_home, away = pictures["to"]
    assert (at_home["share"], at_home["up"], at_home["destination"]["label"]) == (0.75, True, "fast")
    assert (away["share"], away["up"], away["reason"]) == (0.25, False, "its status is error")
    assert pictures["fallbacks"][0]["destination"]["target"] == "runpod"
    assert (flux["model"], flux["to"][0]["destination"]["gpu_type"]) == ("flux*", "A100")
    assert told["default"]["to"][0]["destination"]["target"] == "local"
    assert told["problems"] == []


def test_a_run_of_comfyui_deploy_is_explained(api: ApiRig, rules: RoutingRig) -> None:
    found = explain(api, workflow_name="Text To Image v2", job_id="job-1")
    assert found["workflow"] == {
        "name": "Text To Image v2",
        "standard": "text2img",
        "by": "table",
        "notes": "A picture after a text.",
    }
    assert (found["kind"], found["rule"], found["also"], found["up"]) == ("deployment", "pictures", ["default"], True)
    assert (found["destination"]["machine"], found["tried"]) == ("m-1", [])
    assert found["why"] == "pictures fits (workflow text2img): it goes to deploy machine m-1."
    rules.troubles["m-1"] = "it is away"
    found = explain(api, workflow_name="text2img")
    assert (found["destination"]["machine"], found["up"]) == ("m-2", True)
    assert [each["reason"] for each in found["tried"]] == ["it is away"]
    rules.troubles["m-2"] = "it is away, too"
    found = explain(api, workflow_name="text2img")
    assert (found["up"], "it is away, too" in found["why"]) == (False, True)


def test_a_job_of_the_worker_is_explained(api: ApiRig, rules: RoutingRig) -> None:
    rules.ruled({"rules": [{**RULES["rules"][0], "workflow": "resize", "to": ["label:fast", "runpod"]}]})
    found = explain(api, workflow_name="Resize Image", job_id="job-1")
    assert (found["kind"], found["rule"], found["also"]) == ("workflow", "pictures", ["default"])
    assert [part["share"] for part in found["to"]] == [0.5, 0.5]
    assert found["why"].endswith(", one of several by weight and the job's id.")
    rules.fleet.members[0].is_draining = True
    rules.troubles["runpod"] = "no answer"
    found = explain(api, workflow_name="resize")
    assert {each["reason"] for each in found["tried"]} == {"no answer", "10.0.0.1:8188: It is being drained."}
    assert (found["up"], "the job waits for" in found["why"]) == (False, True)


def test_by_models_of_a_graph_and_by_nothing_at_all(api: ApiRig) -> None:
    graph = {"4": {"class_type": "UNETLoader", "inputs": {"unet_name": "FLUX/flux1-dev.safetensors"}}}
    found = explain(api, workflow=graph)
    assert (found["workflow"], found["models"], found["rule"]) == (None, ["FLUX/flux1-dev.safetensors"], "flux")
    assert explain(api, workflow_name="text2img", models=["flux1.gguf"])["also"] == ["flux", "default"]
    assert explain(api, workflow_name="unheard-of")["rule"] == "default"
    assert explain(api)["destination"]["target"] == "local"


def test_what_explain_says_happens(api: ApiRig) -> None:
    flux = {"1": {"class_type": "picture", "inputs": {"unet_name": "flux1.safetensors"}}}
    assert (submitted(api, workflow=flux).target, submitted(api, workflow=flux).label) == ("local", "gpu:a100")
    job = submitted(api)
    assert (job.target, job.label, job.movable) == ("local", None, False)


def test_who_may_choose_a_place(api: ApiRig) -> None:
    graph = {"1": {"class_type": "picture", "inputs": {"unet_name": "flux1.safetensors"}}}
    for asked in ({"gpu": "runpod"}, {"machine_id": "10.0.0.1:8188"}):
        refused = explain(api, 403, workflow=graph, **asked)
        assert "local GPU A100 by flux" in refused["message"], refused
        answer = api.post("/run", json={"workflow": graph, **asked})
        assert (answer.status_code, "allow_override" in answer.text) == (403, True)
    assert explain(api, headers=OPERATOR, workflow=graph, gpu="runpod")["rule"] == "request"
    job = submitted(api, OPERATOR, workflow=graph, machine_id="10.0.0.1:8188")
    assert (job.target, job.label) == ("local", "10.0.0.1:8188")
    assert "moon" in explain(api, 400, gpu="moon")["message"]


def test_changes_count_for_the_next_request(api: ApiRig, rules: RoutingRig) -> None:
    rules.ruled({"routingRules": {"My Portrait": "m-2"}, "defaultMachine": "10.0.0.2:8188"})
    rules.named({"workflows": [{"standard": "portrait", "api": ["My Portrait", "Face"]}]})
    assert explain(api, workflow_name="face")["destination"]["machine"] == "m-2"
    assert submitted(api).label == "10.0.0.2:8188"
    assert api.get(PATH).json()["rules"][0]["name"] == "routingRules.My Portrait"


def test_a_broken_file_is_told_and_changes_nothing(api: ApiRig, rules: RoutingRig) -> None:
    assert explain(api, workflow_name="text2img")["rule"] == "pictures"
    rules.ruled({"rules": [{"workflow": "text2img"}]})
    assert explain(api, workflow_name="text2img")["rule"] == "pictures"
    told = api.get(PATH).json()
    assert told["routing"]["problem"] == "routing.json: rules.0.to: field required"
    assert told["problems"] == [told["routing"]["problem"]]


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"models": "x"}, "models"), ({"workflow_name": 7}, "workflow_name"), ({"job_id": "x" * 101}, "job_id")],
)
def test_what_is_no_question_is_refused_by_field(api: ApiRig, asked: dict[str, Any], field: str) -> None:
    assert [each["field"] for each in explain(api, 400, **asked)["details"]] == [field]


def test_it_takes_a_key(api: ApiRig) -> None:
    for headers, status in ((None, 200), ({"Authorization": "Bearer wrong"}, 401)):
        assert api.get(PATH, headers=headers).status_code == status
