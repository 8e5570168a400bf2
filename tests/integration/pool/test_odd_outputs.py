"""Outputs that a custom node names in odd ways: plain names come out, or a finding."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support import sample_jobs
from support.sample_jobs import node
from support.standin_process import StandinProcess

from api import wiring
from api.settings import Settings


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[wiring.Services]:
    scratch = tmp_path_factory.mktemp("worker")
    with StandinProcess() as standin:
        services = wiring.build(Settings(comfy_host=standin.url, work_dir=scratch / "work", comfy_run_dir=scratch))
        yield services
        services.close()


def reported(services: wiring.Services, *outputs: dict[str, Any]) -> dict[str, Any]:
    """The result of a node that has written a.bin and b/c.bin and reports these outputs."""
    ui, files = json.dumps({"files": outputs}), json.dumps({"a.bin": 20, "b/c.bin": 30})
    return services.handler(sample_jobs.job({"1": node("StandinUI", ui=ui, files=files)}, force=True))


ODD = [
    {"filename": "../../etc/passwd"},
    {"filename": "a.bin", "subfolder": "../output"},
    {"filename": "a.bin", "subfolder": "b/.."},
    {"filename": "/etc/passwd"},
    {"filename": "a.bin", "subfolder": "/etc"},
    {"filename": "..\\..\\a.bin"},
    {"filename": "C:\\a.bin"},
    {"filename": ".."},
    {"filename": "a\n.bin"},
    {"filename": "\ud800.bin"},
]


@pytest.mark.parametrize("odd", ODD, ids=map(repr, ODD))
def test_a_name_that_leads_elsewhere_is_a_finding_and_no_name_of_the_result(
    services: wiring.Services, odd: dict[str, str]
) -> None:
    result = reported(services, {**odd, "type": "output"}, {"filename": "a.bin", "type": "output"})
    assert [(entry["filename"], entry.get("subfolder", "")) for entry in result["files"]] == [("a.bin", "")]
    assert [detail["code"] for detail in result["details"]] == ["OUTPUT_UNAVAILABLE"]
    json.dumps(result, ensure_ascii=False).encode()


def test_a_folder_in_the_name_is_the_subfolder(services: wiring.Services) -> None:
    result = reported(services, {"filename": "b/c.bin", "type": "output"})
    ((entry),) = result["files"]
    assert (entry["filename"], entry["subfolder"]) == ("c.bin", "b")


def test_nothing_but_names_that_lead_elsewhere_is_an_error(services: wiring.Services) -> None:
    result = reported(services, {"filename": "../../x", "type": "output"})
    assert result["code"] == "OUTPUT_UNAVAILABLE"
    assert "plain name" in result["error"]


def test_a_deep_entry_is_no_defect_of_the_worker(services: wiring.Services) -> None:
    deep: Any = []
    for _ in range(600):
        deep = [deep]
    result = services.handler(sample_jobs.job({"1": node("StandinUI", ui=json.dumps({"deep": [deep]}))}, force=True))
    assert result.get("code", "OK") != "INTERNAL_ERROR", result
