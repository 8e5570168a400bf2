"""What a job can ask for, through the whole handler on a ComfyUI over sockets: the stand-in, or a real one."""

import base64
import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support import sample_jobs
from support.sample_jobs import Workflow, node, png
from support.standin_process import StandinProcess

from api import wiring
from api.jobs.cancel import CancelToken
from api.jobs.events import JobEvent, NodeStarted, OutputProduced, ProgressMade, PromptAssigned, StageFinished
from api.settings import Settings

Result = dict[str, Any]


@pytest.fixture(scope="module")
def standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture(scope="module", params=["standin", pytest.param("real", marks=pytest.mark.comfyui)])
def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[wiring.Services]:
    if request.param == "real" and "COMFYUI_TEST_URL" not in os.environ:
        pytest.skip("COMFYUI_TEST_URL is not set")
    url = os.environ["COMFYUI_TEST_URL"] if request.param == "real" else request.getfixturevalue("standin").url
    yield from made(url, tmp_path_factory.mktemp("worker"))


@pytest.fixture(scope="module")
def on_standin(standin: StandinProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[wiring.Services]:
    yield from made(standin.url, tmp_path_factory.mktemp("worker"))


def made(url: str, scratch: Path) -> Iterator[wiring.Services]:
    services = wiring.build(Settings(comfy_host=url, work_dir=scratch / "work", comfy_run_dir=scratch))
    yield services
    services.close()


def run(services: wiring.Services, workflow: Workflow, **options: Any) -> Result:
    return services.handler(sample_jobs.job(workflow, **options))


def picture(entry: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(entry["data"])))


def center(entry: dict[str, Any]) -> Any:
    shown = picture(entry).convert("RGB")
    return shown.getpixel((shown.width // 2, shown.height // 2))


def close(shown: Any, wanted: Any) -> bool:
    # SaveImage truncates instead of rounding: 244.99 becomes 244.
    return all(abs(a - b) <= 1 for a, b in zip(shown, wanted, strict=True))


def test_two_jobs_with_input_png_never_see_each_others_picture(services: wiring.Services) -> None:
    colors = [(10 * i, 255 - 10 * i, 7) for i in range(8)]
    results: dict[int, Result] = {}

    def work(i: int) -> None:
        results[i] = run(services, sample_jobs.inverted(), images={"input.png": png(colors[i])})

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(colors))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = [center(results[i]["images"][0]) for i in range(len(colors))]
    wanted = [tuple(255 - channel for channel in color) for color in colors]
    assert [close(*pair) for pair in zip(shown, wanted, strict=True)] == [True] * len(colors), shown


def test_the_callers_own_folder_comes_back_and_the_jobs_does_not(services: wiring.Services) -> None:
    workflow = sample_jobs.flat(0x010203)
    workflow["2"]["inputs"]["filename_prefix"] = "portraits/anna"
    (image,) = run(services, workflow)["images"]
    assert (image["subfolder"], image["filename"]) == ("portraits", "anna_00001_.png")


def test_overrides_by_node_id_and_by_title(services: wiring.Services) -> None:
    workflow = sample_jobs.flat(0x111111)
    workflow["1"]["_meta"] = {"title": "Canvas"}
    result = run(services, workflow, overrides={"Canvas.color": 0x00FF00, "1.width": 20, "1.height": 10})
    (image,) = result["images"]
    assert center(image) == (0, 255, 0)
    assert (image["width"], image["height"]) == (20, 10)


def test_a_second_run_says_cached_and_force_renders_again(services: wiring.Services) -> None:
    workflow = sample_jobs.flat(0x314159)
    first, second = run(services, workflow), run(services, workflow)
    forced = run(services, workflow, force=True)
    assert [result["images"][0]["cached"] for result in (first, second, forced)] == [False, True, False]


def test_outputs_come_in_the_order_of_nodes_and_batch(services: wiring.Services) -> None:
    workflow = {
        "10": node("SaveImage", images=["1", 0], filename_prefix="late"),
        "2": node("SaveImage", images=["3", 0], filename_prefix="early"),
        "1": node("EmptyImage", width=8, height=8, batch_size=2, color=1),
        "3": node("EmptyImage", width=8, height=8, batch_size=3, color=2),
    }
    images = run(services, workflow)["images"]
    assert [image["node_id"] for image in images] == ["2", "2", "2", "10", "10"]
    assert [image["filename"] for image in images[:3]] == [f"early_0000{i}_.png" for i in (1, 2, 3)]


def test_previews_are_delivered_only_when_asked_for_and_nothing_is_saved(services: wiring.Services) -> None:
    preview = {
        "1": node("EmptyImage", width=8, height=8, batch_size=1, color=3),
        "2": node("PreviewImage", images=["1", 0]),
    }
    assert run(services, preview) == {"status": "success_no_images", "images": []}
    assert len(run(services, preview, include_temp=True)["images"]) == 1
    saved = {**preview, "3": node("SaveImage", images=["1", 0], filename_prefix="x")}
    assert [image["node_id"] for image in run(services, saved, include_temp=True)["images"]] == ["3"]


def test_a_receipt_makes_the_same_picture_again(services: wiring.Services) -> None:
    first = run(services, sample_jobs.inverted(), images={"input.png": png((9, 99, 199))}, receipt=True)
    receipt = first["receipt"]
    again = services.handler(json.loads(json.dumps({"input": receipt["input"]})))
    assert picture(again["images"][0]).tobytes() == picture(first["images"][0]).tobytes()
    assert receipt["comfyui_version"].startswith("0.")
    assert len(receipt["workflow_sha256"]) == 64
    assert {"wait", "upload", "execute", "download", "deliver"} <= receipt["stages_s"].keys()


@pytest.mark.parametrize(("form", "mime"), [("jpeg", "image/jpeg"), ("webp", "image/webp"), ("png", "image/png")])
def test_output_format(services: wiring.Services, form: str, mime: str) -> None:
    (image,) = run(services, sample_jobs.flat(0x406080), output_format=form, output_quality=95)["images"]
    assert (image["mime_type"], picture(image).format) == (mime, form.upper())
    assert all(abs(a - b) <= 3 for a, b in zip(center(image), (0x40, 0x60, 0x80), strict=True))


def test_metadata_is_kept_or_stripped(services: wiring.Services) -> None:
    (kept,) = run(services, sample_jobs.flat(5), metadata="keep")["images"]
    (stripped,) = run(services, sample_jobs.flat(5), metadata="strip")["images"]
    assert "prompt" in picture(kept).info
    assert picture(stripped).info == {}
    assert picture(kept).tobytes() == picture(stripped).tobytes()


def test_text_outputs(services: wiring.Services) -> None:
    workflow = {"1": node("PrimitiveString", value="grün"), "2": node("PreviewAny", source=["1", 0])}
    (text,) = run(services, workflow)["text"]
    assert {key: text[key] for key in ("type", "data", "node_id")} == {"type": "text", "data": "grün", "node_id": "2"}


def test_progress_goes_forward_only_and_ends_at_100(services: wiring.Services) -> None:
    events: list[JobEvent] = []
    services.handler(sample_jobs.job(sample_jobs.chain(6, color=0x777777)), events.append)
    percents = [event.percent for event in events if isinstance(event, ProgressMade)]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert len([event for event in events if isinstance(event, NodeStarted)]) == 8
    assert len([event for event in events if isinstance(event, OutputProduced)]) == 1
    kinds = [type(event) for event in events]
    assert kinds.index(PromptAssigned) < kinds.index(ProgressMade)
    assert {event.stage for event in events if isinstance(event, StageFinished)} >= {"wait", "execute", "deliver"}


def test_an_output_that_is_left_out_is_told(services: wiring.Services) -> None:
    workflow = {
        **sample_jobs.flat(8),
        "8": node("ImageScale", image=["1", 0], upscale_method="nope", width=9, height=9, crop="disabled"),
        "9": node("SaveImage", images=["8", 0], filename_prefix="bad"),
    }
    result = run(services, workflow)
    assert [image["node_id"] for image in result["images"]] == ["2"]
    assert any(detail.get("node_id") == "8" for detail in result["details"])
    assert "upscale_method" in result["errors"][0]


def test_a_value_that_is_not_in_the_list_is_answered_with_the_nearest(services: wiring.Services) -> None:
    workflow = {
        "1": node("EmptyImage", width=8, height=8, batch_size=1, color=1),
        "2": node("ImageScale", image=["1", 0], upscale_method="lanzcos", width=9, height=9, crop="disabled"),
        "3": node("SaveImage", images=["2", 0], filename_prefix="x"),
    }
    result = run(services, workflow)
    assert result["code"] == "PROMPT_REJECTED"
    detail = next(detail for detail in result["details"] if detail["code"] == "value_not_in_list")
    assert (detail["node_id"], detail["nearest"][0]) == ("2", "lanczos")


def test_cancel_ends_the_job_as_cancelled(on_standin: wiring.Services) -> None:
    token = CancelToken()
    workflow = _sleeping(30)

    def cancel_when_it_runs(event: JobEvent) -> None:
        if isinstance(event, NodeStarted) and event.class_type == "StandinSleep":
            token.cancel()

    result = on_standin.handler(sample_jobs.job(workflow), cancel_when_it_runs, token)
    assert result["code"] == "CANCELLED"
    assert run(on_standin, sample_jobs.flat(1))["images"]


def test_timeout_counts_execution_and_stops_the_prompt(on_standin: wiring.Services) -> None:
    result = run(on_standin, _sleeping(30), timeout_s=0.5)
    assert (result["code"], result["retryable"]) == ("TIMED_OUT", False)
    assert "0.5 s" in result["error"]
    assert run(on_standin, sample_jobs.flat(2))["images"]


def test_waiting_behind_another_job_does_not_count_as_execution(on_standin: wiring.Services) -> None:
    running = threading.Event()
    slow = threading.Thread(
        target=on_standin.handler,
        args=(sample_jobs.job(_sleeping(1.5)), lambda event: running.set() if isinstance(event, NodeStarted) else None),
    )
    slow.start()
    assert running.wait(10)
    result = run(on_standin, sample_jobs.flat(0xABCD), timeout_s=0.7, timings=True)
    slow.join()
    assert "error" not in result, result
    assert result["timings_s"]["wait"] > 0.7


def test_an_output_that_can_go_nowhere_fails_the_job(on_standin: wiring.Services) -> None:
    noisy = json.dumps({"images": [{"filename": "big.bin", "subfolder": "", "type": "output"}]})
    workflow = {"1": node("StandinUI", ui=noisy, files=json.dumps({"big.bin": 200_000}))}
    result = on_standin.handler(sample_jobs.job(workflow), inline_limit_bytes=20_000)
    assert result["code"] == "DELIVERY_FAILED"
    assert "OVERFLOW_DIR" in result["error"]


def test_a_node_that_fails_names_itself_and_hands_over_what_was_made(on_standin: wiring.Services) -> None:
    workflow = {
        **sample_jobs.flat(77),
        "8": node("StandinFail", image=["1", 0], message="the lens is dirty"),
        "9": node("SaveImage", images=["8", 0], filename_prefix="never"),
    }
    result = run(on_standin, workflow, force=True)
    assert result["code"] == "EXECUTION_FAILED"
    assert (result["details"][0]["node_id"], result["details"][0]["class_type"]) == ("8", "StandinFail")
    assert "the lens is dirty" in result["error"]
    assert "Traceback" not in json.dumps(result)


def test_out_of_memory_on_the_gpu_has_a_code_of_its_own(on_standin: wiring.Services) -> None:
    workflow = {
        "1": node("EmptyImage", width=8, height=8, batch_size=1, color=6),
        "8": node("StandinFail", image=["1", 0], message="Allocation on device", kind="torch.OutOfMemoryError"),
        "9": node("SaveImage", images=["8", 0], filename_prefix="never"),
    }
    assert run(on_standin, workflow)["code"] == "OUT_OF_VRAM"


def test_outputs_under_any_key_are_delivered_by_their_kind(on_standin: wiring.Services) -> None:
    names = {"a.mp4": 5000, "b.flac": 400, "c.glb": 300, "d.custom": 20}
    ui = {
        "gifs": [{"filename": "a.mp4", "subfolder": "", "type": "output", "format": "video/h264-mp4"}],
        "audio": [{"filename": "b.flac", "subfolder": "", "type": "output"}],
        "3d": [{"filename": "c.glb", "subfolder": "", "type": "output"}],
        "mine": [{"filename": "d.custom", "subfolder": "", "type": "output"}],
    }
    result = run(on_standin, {"1": node("StandinUI", ui=json.dumps(ui), files=json.dumps(names))})
    assert result["images"] == []
    assert [entry["filename"] for entry in result["videos"]] == ["a.mp4"]
    assert [entry["filename"] for entry in result["audio"]] == ["b.flac"]
    assert {entry["filename"] for entry in result["files"]} == {"c.glb", "d.custom"}
    assert result["videos"][0]["mime_type"] == "video/mp4"


def test_a_cached_output_whose_file_is_gone_is_made_again(on_standin: wiring.Services, standin: StandinProcess) -> None:
    ui = {"images": [{"filename": "always.bin", "subfolder": "", "type": "output"}]}
    workflow = {"1": node("StandinUI", ui=json.dumps(ui), files=json.dumps({"always.bin": 50}))}
    run(on_standin, workflow)
    standin.set_fault("view_404", 1)
    result = run(on_standin, workflow)
    assert [file["filename"] for file in result["files"]] == ["always.bin"]


def test_a_job_leaves_nothing_in_comfyuis_history(on_standin: wiring.Services) -> None:
    prompts: list[str] = []
    on_standin.handler(
        sample_jobs.job(sample_jobs.flat(4)),
        lambda event: prompts.append(event.prompt_id) if isinstance(event, PromptAssigned) else None,
    )
    on_standin.cleaner.settle()
    assert [on_standin.instance.client.history(prompt) for prompt in prompts] == [None]


def test_a_misspelled_field_is_told_and_hinders_nothing(on_standin: wiring.Services) -> None:
    result = run(on_standin, sample_jobs.flat(5), output_fromat="webp")
    assert result["images"][0]["mime_type"] == "image/png"
    assert result["errors"] == ["output_fromat is not a field of a job: did you mean output_format?"]
    assert result["details"][0]["nearest"] == ["output_format"]
    failed = run(on_standin, {"1": node("NoSuchNode")}, output_fromat="webp")
    assert failed["code"] in {"INVALID_WORKFLOW", "PROMPT_REJECTED"}
    assert [detail["code"] for detail in failed["details"]][-1] == "unknown_field"


def _sleeping(seconds: float) -> Workflow:
    return {
        "1": node("EmptyImage", width=8, height=8, batch_size=1, color=0x99),
        "2": node("StandinSleep", image=["1", 0], seconds=seconds, steps=100),
        "3": node("SaveImage", images=["2", 0], filename_prefix="slept"),
    }
