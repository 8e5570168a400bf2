"""A job's files lie in a folder of its own on ComfyUI, whatever its workflow makes of their names."""

import base64
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support import sample_jobs
from support.sample_jobs import Workflow, node
from support.standin_process import StandinProcess

from api import wiring
from api.comfyui.client import ComfyClient
from api.comfyui.limits import RunLimits
from api.comfyui.process import ComfyProcess
from api.comfyui.stream import ComfyStream
from api.errors import InvalidWorkflow
from api.ids import InstanceName, JobId
from api.jobs.cancel import CancelToken
from api.jobs.events import JobEvent, NodeStarted, OutputProduced, ProgressMade, ignore
from api.jobs.names import is_job_folder
from api.jobs.ports import RunRequest
from api.pool.cleanup import Cleaner
from api.pool.instance import Instance, StartPatience
from api.pool.target import ComfyTarget
from api.settings import Settings


@pytest.fixture(scope="module")
def standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture(scope="module", params=["standin", pytest.param("real", marks=pytest.mark.comfyui)])
def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[wiring.Services]:
    if request.param == "real" and "COMFYUI_TEST_URL" not in os.environ:
        pytest.skip("COMFYUI_TEST_URL is not set")
    url = os.environ["COMFYUI_TEST_URL"] if request.param == "real" else request.getfixturevalue("standin").url
    scratch = tmp_path_factory.mktemp("worker")
    services = wiring.build(Settings(comfy_host=url, work_dir=scratch / "work", comfy_run_dir=scratch))
    yield services
    services.close()


def named(text: str, *, by: str = "StringTrim") -> Workflow:
    """A picture whose prefix another node makes up while the workflow runs."""
    made = {"StringTrim": node("StringTrim", string=text, mode="Both"), "StringLength": node(by, string=text)}[by]
    return {
        "1": node("EmptyImage", width=8, height=8, batch_size=1, color=5),
        "2": node("SaveImage", images=["1", 0], filename_prefix=["5", 0]),
        "5": made,
    }


def folder_in(standin: StandinProcess) -> list[str]:
    return sorted(
        str(path.relative_to(standin.directory / "output")) for path in (standin.directory / "output").rglob("*.png")
    )


@pytest.mark.parametrize(
    ("made_up", "subfolder", "filename"),
    [
        ("cats/tom", "cats", "tom_00001_.png"),
        ("../../tom", "_/_", "tom_00001_.png"),
        ("/etc/tom", "etc", "tom_00001_.png"),
        ("", "", "__00001_.png"),
    ],
)
def test_a_prefix_made_up_in_the_run(services: wiring.Services, made_up: str, subfolder: str, filename: str) -> None:
    events: list[JobEvent] = []
    result = services.handler(sample_jobs.job(named(made_up)), events.append)
    (image,) = result["images"]
    assert (image["node_id"], image["subfolder"], image["filename"]) == ("2", subfolder, filename)
    assert {event.node_id for event in events if isinstance(event, NodeStarted)} <= {"1", "2", "5"}
    assert {event.nodes_total for event in events if isinstance(event, ProgressMade)} == {3}
    assert "~folder" not in json.dumps(result)


def test_its_files_lie_below_the_jobs_folder(standin: StandinProcess, tmp_path: Any) -> None:
    services = wiring.build(Settings(comfy_host=standin.url, work_dir=tmp_path / "work", comfy_run_dir=tmp_path))
    services.handler(sample_jobs.job(named("../loose/tom"), images={}) | {"id": "known-id"})
    services.close()
    (path,) = (path for path in folder_in(standin) if path.endswith("_/loose/tom_00001_.png"))
    assert is_job_folder(path.partition("/")[0])
    assert "known-id" not in path


def test_a_link_of_the_wrong_type_is_told_of_the_callers_node(services: wiring.Services) -> None:
    result = services.handler(sample_jobs.job(named("x", by="StringLength")))
    assert result["code"] == "PROMPT_REJECTED"
    (detail,) = (detail for detail in result["details"] if detail["code"] == "return_type_mismatch")
    assert (detail["node_id"], detail["class_type"]) == ("2", "SaveImage")
    assert detail["field"] == "workflow.2.inputs.filename_prefix"
    assert "'filename_prefix' needs STRING but gets INT by output 0 of node 5" in result["error"]
    assert "~folder" not in json.dumps(result)


def test_a_second_run_says_cached_though_its_prefix_is_made_anew(services: wiring.Services) -> None:
    workflow = named("again")
    workflow["1"]["inputs"]["color"] = 0x271828
    first, second = (services.handler(sample_jobs.job(workflow)) for _ in range(2))
    assert [result["images"][0]["cached"] for result in (first, second)] == [False, True]


def carried(entry: dict[str, Any]) -> Any:
    """The workflow that the picture of a result tells."""
    return json.loads(Image.open(io.BytesIO(base64.b64decode(entry["data"]))).info["prompt"])


@pytest.mark.parametrize("options", [{}, {"force": True}, {"output_format": "png"}], ids=str)
def test_pictures_tell_the_callers_own_workflow(services: wiring.Services, options: dict[str, Any]) -> None:
    workflow = sample_jobs.inverted()
    workflow["9"] = node("StringTrim", string=" mine ", mode="Both")
    workflow["3"]["inputs"]["filename_prefix"] = ["9", 0]
    workflow["3"]["_meta"] = {"title": "Save Image"}
    result = services.handler(sample_jobs.job(workflow, images={"input.png": sample_jobs.png()}, **options))
    told = carried(result["images"][0])
    for told_node in told.values():
        told_node.pop("is_changed", None)
    assert told == workflow
    content = base64.b64decode(result["images"][0]["data"])
    assert hashlib.sha256(content).hexdigest() == result["images"][0]["sha256"]


def test_a_preview_tells_the_workflow_of_its_own_job(services: wiring.Services) -> None:
    shown = {
        "1": node("EmptyImage", width=8, height=8, batch_size=1, color=0x1234),
        "2": node("PreviewImage", images=["1", 0]),
    }
    first = {**shown, "8": node("PrimitiveString", value="a secret"), "9": node("PreviewAny", source=["8", 0])}
    services.handler(sample_jobs.job(first, include_temp=True))
    again = services.handler(sample_jobs.job(shown, include_temp=True))
    assert carried(again["images"][0]) == shown


def test_nothing_of_a_job_is_left_on_comfyuis_disk(standin: StandinProcess, tmp_path: Path) -> None:
    kept = set(standin.directory.rglob("*"))
    services = wiring.build(
        Settings(
            comfy_host=standin.url, comfy_root=standin.directory, work_dir=tmp_path / "work", comfy_run_dir=tmp_path
        )
    )
    workflow = sample_jobs.inverted()
    workflow["4"] = node("PreviewImage", images=["2", 0])
    made: list[str] = []
    services.handler(
        sample_jobs.job(workflow, images={"input.png": sample_jobs.png()}),
        lambda event: made.append(event.filename) if isinstance(event, OutputProduced) else None,
    )
    services.close()
    assert len(made) == 2
    assert set(standin.directory.rglob("*")) == kept


class OlderClient(ComfyClient):
    """A ComfyUI from before there were string nodes."""

    def object_info(self, class_type: str | None = None) -> Mapping[str, Any]:
        return {} if class_type == "RegexReplace" else super().object_info(class_type)


def test_a_comfyui_that_cannot_keep_it_in_the_folder_is_not_asked_to(standin: StandinProcess, tmp_path: Path) -> None:
    client = OlderClient(standin.url)
    stream = ComfyStream(standin.url, "older")
    patience = StartPatience(0.05, 10, 5)
    instance = Instance(InstanceName("older"), client, stream, ComfyProcess.in_dir(tmp_path), patience)
    cleaner = Cleaner(client, None)
    request = RunRequest(JobId("j"), named("x"), f"job-{'0' * 32}")
    try:
        with pytest.raises(InvalidWorkflow, match="has RegexReplace to keep the files") as caught:
            ComfyTarget(instance, cleaner, RunLimits(), 1).run(request, tmp_path, ignore, CancelToken())
    finally:
        cleaner.close()
        instance.close()
    assert caught.value.details[0]["field"] == "workflow.2.inputs.filename_prefix"
    assert not client.queue_remaining()
