"""POST /api/comfy/text2img over several ComfyUIs: which of them a workflow is made for, and when each is asked anew."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.api_rig import ApiRig, api_rig
from support.text2img_offers import with_detail_daemon, with_models

from api.comfyui.catalog import Catalog
from api.errors import ComfyUnreachable
from api.routes import comfy_text2img

PATH = "/api/comfy/text2img"
SDXL, FLUX = "sd_xl_base_1.0.safetensors", "flux1-dev-fp8.safetensors"


@dataclass
class Answers:
    """What a ComfyUI says when its client asks; None when it does not answer."""

    info: dict[str, Any] | None
    asked: int = 0

    def object_info(self, max_age_s: float = 0) -> dict[str, Any]:
        self.asked += 1
        if self.info is None:
            raise ComfyUnreachable("It does not answer.")
        return self.info

    def system_stats(self) -> dict[str, Any]:
        return {}


@dataclass
class Fleet:
    rig: ApiRig
    now: float = 0.0
    catalogs: list[Catalog] = field(default_factory=list)

    def offer(self, *infos: dict[str, Any] | None) -> list[Answers]:
        """From now on there are these ComfyUIs."""
        answers = [Answers(info) for info in infos]
        self.catalogs[:] = [Catalog(each, clock=lambda: self.now) for each in answers]  # type: ignore[arg-type]
        return answers

    def post(self, **fields: Any) -> Any:
        return self.rig.post(PATH, json={"caption": "a cat", **fields})

    def made_for(self, **fields: Any) -> str:
        answer = self.post(**fields)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["checkpoint"])


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    catalogs: list[Catalog] = []

    def routers(jobs: Any, _links: Any) -> list[Any]:
        return [comfy_text2img.router(jobs.service, lambda: catalogs, lambda _folder, _name: None)]

    with api_rig(tmp_path_factory.mktemp("text2img"), more=routers) as rig:
        rig.hold()
        yield Fleet(rig, catalogs=catalogs)


def test_the_first_that_has_it_all_is_taken(fleet: Fleet) -> None:
    fleet.offer(None, with_models(checkpoints=[SDXL]), with_detail_daemon(with_models(checkpoints=[FLUX])))
    assert fleet.made_for() == SDXL
    assert fleet.made_for(checkpoint="flux1-dev-fp8") == FLUX
    assert fleet.made_for(detail_daemon=True) == FLUX


def test_of_several_refusals_that_of_the_one_that_lacks_least_is_told(fleet: Fleet) -> None:
    bare = with_models(checkpoints=[SDXL])
    fleet.offer(bare, with_detail_daemon(bare))
    error = fleet.post(detail_daemon=True, loras=["none"]).json()
    assert [each["field"] for each in error["details"]] == ["loras.0"]


def test_one_that_has_checkpoints_tells_more_than_one_that_has_none(fleet: Fleet) -> None:
    fleet.offer(with_models(), with_models(checkpoints=[SDXL]))
    error = fleet.post(checkpoint="sd_xl_bas").json()
    assert error["details"][0]["nearest"] == [SDXL]


def test_none_that_answers_is_no_fault_of_the_request(fleet: Fleet) -> None:
    fleet.offer(None)
    assert fleet.post().status_code == 503
    fleet.offer()
    assert fleet.post().json()["code"] == "COMFY_UNREACHABLE"


def test_what_was_installed_meanwhile_is_found(fleet: Fleet) -> None:
    (comfyui,) = fleet.offer(with_models(checkpoints=[SDXL]))
    assert fleet.made_for() == SDXL
    comfyui.info = with_models(checkpoints=[SDXL, FLUX])
    assert fleet.post(checkpoint=FLUX).status_code == 400
    assert comfyui.asked == 1
    fleet.now += 6
    assert fleet.made_for(checkpoint=FLUX) == FLUX
    assert comfyui.asked == 2


def test_the_job_is_what_is_told(fleet: Fleet) -> None:
    fleet.offer(with_models(checkpoints=[SDXL]))
    accepted = fleet.post(seed=2**64 - 1, priority="high").json()
    assert (accepted["seed"], accepted["status"]) == (2**64 - 1, "queued")
    job = fleet.rig.get(f"/jobs/{accepted['prompt_id']}").json()
    assert job["priority"] == "high"
