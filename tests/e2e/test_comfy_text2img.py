"""Words in, a picture out: POST /api/comfy/text2img of a real worker over the stand-in with model names."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from support.api_worker import ApiWorker
from support.safetensors_files import made
from support.sample_jobs import pixels
from support.standin_process import StandinProcess
from support.text2img_offers import CHECKPOINTS, LORAS, MYSTERY
from support.waiting import wait_for

from api.openapi_file import document
from api.settings import Settings

pytestmark = pytest.mark.e2e

PATH = "/api/comfy/text2img"
SMALL = {"caption": "a cat", "width": 64, "height": 128, "steps": 2}
# By its header an SDXL checkpoint, whatever its name says.
SECRETLY_XL = {
    "model.diffusion_model.input_blocks.0.0.weight": [320, 4, 3, 3],
    "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": [640, 2048],
    "conditioner.embedders.0.a": [1],
    "first_stage_model.a": [1],
}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorker]:
    folder = tmp_path_factory.mktemp("text2img")
    models = folder / "checkpoints"
    models.mkdir()
    header = {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in SECRETLY_XL.items()}
    (models / MYSTERY).write_bytes(made(header, b""))
    offered = [f"--checkpoint={name}" for name in (*CHECKPOINTS.values(), MYSTERY)]
    offered += [f"--lora={name}" for name in LORAS]
    with StandinProcess(arguments=offered) as comfyui:
        environment = {"COMFYUI_MODELS_CHECKPOINTS": str(models)}
        with ApiWorker(folder, comfyui.url, environment) as running:
            wait_for(lambda: running.get("/readyz").ok, "ComfyUI")
            yield running


def post(worker: ApiWorker, status: int = 202, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    answer = worker.post(PATH, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def picture(worker: ApiWorker, accepted: dict[str, Any]) -> Any:
    ended = worker.ended(accepted["prompt_id"])
    assert ended["status"] == "completed", ended
    (image,) = ended["result"]["images"]
    return pixels(image)


@pytest.mark.parametrize("family", CHECKPOINTS)
def test_a_picture_of_each_family(worker: ApiWorker, family: str) -> None:
    accepted = post(worker, **SMALL, checkpoint=CHECKPOINTS[family], client_id="mine")
    assert (accepted["family"], accepted["checkpoint"], accepted["warnings"]) == (family, CHECKPOINTS[family], [])
    assert (accepted["client_id"], accepted["width"], accepted["height"]) == ("mine", 64, 128)
    assert picture(worker, accepted).size == (64, 128)


def test_the_workflow_that_is_told_is_the_one_that_runs(worker: ApiWorker) -> None:
    switches = {"pag": True, "deepshrink": True, "split_sigmas": True, "loras": ["oil-paint"], "lora_weights": [0.5]}
    accepted = post(worker, **SMALL, **switches, seed=3, checkpoint=CHECKPOINTS["sdxl"])
    classes = [node["class_type"] for node in accepted["workflow"].values()]
    assert {"PerturbedAttentionGuidance", "PatchModelAddDownscale", "SplitSigmas", "LoraLoader"} <= set(classes)
    again = worker.submit({"input": {"workflow": accepted["workflow"]}})
    first, second = picture(worker, accepted), picture(worker, {"prompt_id": again})
    assert first.tobytes() == second.tobytes()


def test_a_seed_of_its_own_each_time(worker: ApiWorker) -> None:
    first, second = post(worker, **SMALL), post(worker, **SMALL)
    assert first["seed"] != second["seed"]
    assert max(first["seed"], second["seed"]) < 2**53
    assert picture(worker, first).tobytes() != picture(worker, second).tobytes()
    same = post(worker, **SMALL, seed=first["seed"])
    assert picture(worker, same).tobytes() == picture(worker, first).tobytes()


def test_a_repeated_request_is_answered_alike(worker: ApiWorker) -> None:
    key = {"Idempotency-Key": "text2img-1"}
    first, second = post(worker, headers=key, **SMALL), post(worker, headers=key, **SMALL)
    assert {**first, "status": "", "position": 0} == {**second, "status": "", "position": 0}


def test_the_file_of_this_machine_tells_what_it_is(worker: ApiWorker) -> None:
    accepted = post(worker, **SMALL, checkpoint=MYSTERY)
    assert (accepted["family"], accepted["warnings"]) == ("sdxl", [])


@pytest.mark.parametrize(
    ("fields", "field", "code", "near"),
    [
        ({"caption": " "}, "caption", "empty", None),
        ({"width": 63}, "width", "out_of_range", None),
        ({"steps": 151}, "steps", "out_of_range", None),
        ({"cfg": 0}, "cfg", "out_of_range", None),
        ({"seed": -1}, "seed", "out_of_range", None),
        ({"checkpoint": "sd_xl_bas"}, "checkpoint", "value_not_in_list", CHECKPOINTS["sdxl"]),
        ({"loras": ["oil-pant"]}, "loras.0", "value_not_in_list", LORAS[0]),
        ({"detail_daemon": True}, "detail_daemon", "node_missing", None),
        ({"client_id": "a\nb"}, "client_id", "invalid_client_id", None),
        ({"priority": "soon"}, "priority", "enum", None),
    ],
)
def test_what_cannot_be_is_told(worker: ApiWorker, fields: dict[str, Any], field: str, code: str, near: Any) -> None:
    error = post(worker, 400, **{**SMALL, **fields})
    (detail,) = error["details"]
    assert (error["code"], detail["field"], detail["code"]) == ("INVALID_INPUT", field, code)
    assert near is None or detail["nearest"][0] == near


def test_fields_that_mean_nothing_are_told_of(worker: ApiWorker) -> None:
    fields = {"checkpoint": CHECKPOINTS["sd15"], "negative_prompt": "x", "priority": "low", "labels": {"from": "me"}}
    accepted = post(worker, **SMALL, **fields, step=3, colour=1)
    assert [(each["field"], each.get("nearest")) for each in accepted["warnings"]] == [
        ("colour", []),
        ("step", ["steps"]),
    ]
    job = worker.get(f"/jobs/{accepted['prompt_id']}").json()
    assert (job["priority"], job["labels"]) == ("low", {"from": "me"})


def test_sizes_that_are_no_sizes_of_a_model_are_rounded(worker: ApiWorker) -> None:
    accepted = post(worker, **{**SMALL, "width": 100, "checkpoint": CHECKPOINTS["flux"]})
    assert (accepted["width"], [each["code"] for each in accepted["warnings"]]) == (96, ["rounded"])


def test_it_is_documented(worker: ApiWorker) -> None:
    live = worker.get("/openapi.json").json()
    operation = live["paths"][PATH]["post"]
    assert "Text2ImgRequest" in json.dumps(operation["requestBody"])
    assert operation["responses"]["202"]["content"]["application/json"]["schema"]["$ref"].endswith(
        "/ComfyText2ImgResponse"
    )
    part = document(Settings(), "/api/comfy")
    assert {path: item for path, item in live["paths"].items() if path.startswith("/api/comfy/")} == part["paths"]
    schemas = part["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", json.dumps(part))) == set(schemas)
    assert len(schemas) < len(live["components"]["schemas"])
