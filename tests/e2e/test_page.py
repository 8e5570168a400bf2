"""The web page in a real browser: a real worker, a stand-in as ComfyUI."""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests
from PIL import Image
from support import sample_jobs
from support.api_process import ApiProcess
from support.browser import DESKTOP, PHONE, Visit, chromium, needs_browser
from support.sample_jobs import node
from support.standin_process import StandinProcess
from support.waiting import wait_for

pytestmark = [pytest.mark.e2e, needs_browser]
CHECKPOINT = "dreamshaper_8.safetensors"
HELD_S = 600.0
HOSTILE = '<img src=x onerror="window.wasHit=1">'


@pytest.fixture(scope="module")
def worker() -> Iterator[ApiProcess]:
    arguments = ["--checkpoint", CHECKPOINT, "--checkpoint", "sd_xl_base.safetensors"]
    with StandinProcess(arguments=arguments) as standin, ApiProcess({"COMFY_HOST": standin.url}) as process:
        yield process


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as process:
        yield process


@pytest.fixture(scope="module")
def desk(browser: Any) -> Iterator[Any]:
    """A context for all: the page's files are fetched once."""
    context = browser.new_context(
        viewport=DESKTOP, color_scheme="light", permissions=["clipboard-read", "clipboard-write"]
    )
    yield context
    context.close()


@pytest.fixture
def visit(browser: Any, desk: Any, worker: ApiProcess) -> Iterator[Visit]:
    with Visit(browser, worker.url, shared=desk) as visit:
        visit.open()
        yield visit
    # What this test has left, if it failed, is not the next one's.
    requests.post(f"{worker.url}/queue/clear", timeout=10)
    requests.post(f"{worker.url}/queue/resume", timeout=10)
    for job in requests.get(f"{worker.url}/jobs?status=running", timeout=10).json()["jobs"]:
        requests.post(f"{worker.url}/jobs/{job['job_id']}/cancel", timeout=10)


def titled(title: str, class_type: str, **inputs: Any) -> dict[str, Any]:
    return {**node(class_type, **inputs), "_meta": {"title": title}}


def painting(seed: int = 7, *, held_s: float | None = None) -> dict[str, Any]:
    """Text to image; with `held_s` it waits so long once the picture is there."""
    sampler = {"steps": 8, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    graph = {
        "1": titled("Model", "CheckpointLoaderSimple", ckpt_name=CHECKPOINT),
        "2": titled("What to paint", "CLIPTextEncode", text="a lighthouse at dusk", clip=["1", 1]),
        "3": titled("What to avoid", "CLIPTextEncode", text="blurry", clip=["1", 1]),
        "4": titled("Size", "EmptyLatentImage", width=192, height=128, batch_size=1),
        "5": titled(
            "Sampler",
            "KSampler",
            model=["1", 0],
            positive=["2", 0],
            negative=["3", 0],
            latent_image=["4", 0],
            seed=seed,
            **sampler,
        ),
        "6": titled("Decode", "VAEDecode", samples=["5", 0], vae=["1", 2]),
        "7": titled("Save", "SaveImage", images=["6", 0], filename_prefix="lighthouse"),
    }
    if held_s:
        graph["8"] = titled("Hold", "StandinSleep", image=["6", 0], seconds=held_s, steps=4)
        graph["7"]["inputs"]["images"] = ["8", 0]
    return graph


def submit(worker: ApiProcess, workflow: Mapping[str, Any], name: str, **fields: Any) -> str:
    body = {"workflow": workflow, "labels": {"name": name}, **fields}
    job_id: str = requests.post(f"{worker.url}/run", json=body, timeout=10).json()["job_id"]
    return job_id


def names_in_line(worker: ApiProcess) -> list[str]:
    queue = requests.get(f"{worker.url}/queue", timeout=10).json()["upcoming"]
    jobs = [requests.get(f"{worker.url}/jobs/{each['job_id']}", timeout=10).json() for each in queue]
    return [job["labels"]["name"] for job in jobs]


def shown_in_line(visit: Visit) -> list[str]:
    return visit.page.locator(".orderly .job-row-name").all_inner_texts()


def test_a_workflow_runs_from_its_form_to_its_picture(visit: Visit, worker: ApiProcess) -> None:
    page = visit.page
    visit.load(painting(), "lighthouse")
    # The lists are ComfyUI's own.
    checkpoints = page.get_by_label("Ckpt name").locator("option").all_inner_texts()
    assert checkpoints == [CHECKPOINT, "sd_xl_base.safetensors"]
    page.get_by_label("Text").first.fill("a lighthouse in a storm")
    page.get_by_role("textbox", name="Seed").fill("18446744073709551615")  # more than a JavaScript number holds
    page.get_by_role("button", name="Swap width and height").click()
    page.get_by_label("Priority").select_option("high")
    job_id = visit.run()
    visit.state("done")
    page.wait_for_function("() => document.querySelector('.picture-large img')?.naturalHeight === 192")
    asked = requests.get(f"{worker.url}/jobs/{job_id}/input", timeout=10).json()["input"]["workflow"]
    assert asked["2"]["inputs"]["text"] == "a lighthouse in a storm"
    assert asked["5"]["inputs"]["seed"] == 18446744073709551615
    assert (asked["4"]["inputs"]["width"], asked["4"]["inputs"]["height"]) == (128, 192)
    assert requests.get(f"{worker.url}/jobs/{job_id}", timeout=10).json()["priority"] == "high"
    assert page.get_by_role("link", name="Save lighthouse_00001_.png").get_attribute("download") is not None
    page.wait_for_function("() => [...document.querySelectorAll('.node')].every(row => row.dataset.state === 'done')")


def test_progress_previews_cancel_and_retry(visit: Visit, worker: ApiProcess) -> None:
    page = visit.page
    requests.post(f"{worker.url}/queue/pause", timeout=10)
    visit.load(painting(11, held_s=HELD_S), "slow one")
    job_id = visit.run()
    visit.state("waiting")
    page.get_by_text("starts after POST /queue/resume").wait_for()
    page.get_by_text("The queue is paused: no jobs are started.").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.wait_for_selector(".node[data-state=current] >> text=Hold")
    assert page.locator(".node[data-state=done] >> text=Sampler").is_visible()
    page.wait_for_selector(".preview", state="visible")
    page.wait_for_function("() => document.querySelector('.preview').naturalWidth > 0")
    assert int(page.get_by_role("progressbar").get_attribute("aria-valuenow") or 0) > 0
    visit.shot("page-progress-light")
    page.get_by_role("button", name="Cancel", exact=True).click()
    visit.state("cancelled")
    page.get_by_role("button", name="Retry", exact=True).click()
    visit.state("running")
    page.locator(".rail").get_by_role("button", name="Cancel slow one").click()
    visit.state("cancelled")
    assert worker.status(job_id)["error"] == "cancelled"
    page.get_by_role("button", name="Delete the job and its files").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_selector(".stage-empty")
    assert requests.get(f"{worker.url}/jobs/{job_id}", timeout=10).status_code == 404


def test_the_line_is_reordered_with_the_mouse_and_the_keyboard(visit: Visit, worker: ApiProcess) -> None:
    page = visit.page
    requests.post(f"{worker.url}/queue/pause", timeout=10)
    for number, name in enumerate(("one", "two", "three")):
        submit(worker, sample_jobs.flat(number), name)
    wait_for(lambda: shown_in_line(visit) == ["one", "two", "three"], "the three jobs")
    grip, target = (
        page.get_by_role("button", name="Move three").bounding_box(),
        page.get_by_text("one", exact=True).bounding_box(),
    )
    assert grip
    assert target
    page.mouse.move(grip["x"] + 8, grip["y"] + 8)
    page.mouse.down()
    page.mouse.move(grip["x"] + 8, target["y"] - 4, steps=5)
    page.mouse.up()
    wait_for(lambda: names_in_line(worker) == ["three", "one", "two"], "the new order")
    page.get_by_role("button", name="Move two").focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_function("() => document.getElementById('announcer').textContent === 'two is number 2 of 3.'")
    assert names_in_line(worker) == shown_in_line(visit) == ["three", "two", "one"]
    # The focus has come along.
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Move two"
    page.keyboard.press("End")
    wait_for(lambda: names_in_line(worker) == ["three", "one", "two"], "the end of the line")
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Cancel them").click()
    wait_for(lambda: shown_in_line(visit) == [], "an empty line")


def test_faults_are_shown_at_their_fields(visit: Visit) -> None:
    page = visit.page
    graph = {
        "1": titled("Paper", "EmptyImage", width=64, height=64, batch_size=1, color=1193046),
        "2": titled("Mix", "ImageBlend", image1=["1", 0], image2=["1", 0], blend_factor=0.5, blend_mode="multiplyy"),
        "3": titled("Gone", "NoSuchNode", image=["2", 0]),
        "4": titled("Save", "SaveImage", images=["3", 0], filename_prefix="mix"),
    }
    visit.faults.clear()
    visit.load(graph, "mixed")
    # Asking what a node takes that is not there is a 404, which the browser notes by itself.
    visit.faults.clear()
    width = page.get_by_label("Width")
    width.fill("99999")
    assert page.get_by_text("At most 16384.").is_visible()
    page.click("#run")
    assert width.evaluate("field => field === document.activeElement")
    assert width.get_attribute("aria-invalid") == "true"
    width.fill("64")
    page.click("#validate")
    page.get_by_text("no node class 'NoSuchNode'").wait_for()
    page.get_by_role("button", name="Use multiply").click()
    assert page.get_by_label("Blend mode").locator("option:checked").inner_text() == "multiply"
    assert page.get_by_label("Color").input_value() == "#123456"


def test_pictures_are_dropped_and_go_with_the_job(visit: Visit) -> None:
    page = visit.page
    visit.load(sample_jobs.inverted("portrait.png"), "inverted")
    assert page.get_by_text("choose the file").count() == 1
    visit.drop(".drop", "my photo.png", "image/png", sample_jobs.png((200, 30, 60)))
    page.get_by_text("goes with the job").wait_for()
    visit.run()
    visit.state("done")
    page.wait_for_selector(".picture-large img")
    address = page.get_attribute(".picture-large img", "src") or ""
    picture = Image.open(io.BytesIO(requests.get(visit.url + address, timeout=10).content)).convert("RGB")
    assert picture.getpixel((0, 0)) == (54, 225, 195)


def test_a_picture_of_comfyui_brings_its_workflow_and_the_editors_format_is_explained(
    visit: Visit, worker: ApiProcess
) -> None:
    page = visit.page
    job_id = submit(worker, painting(5), "for its metadata")
    worker.ended(job_id)
    url = requests.get(f"{worker.url}/status/{job_id}?outputs=url", timeout=10).json()["result"]["images"][0]["data"]
    visit.drop(".stage", "lighthouse.png", "image/png", requests.get(url, timeout=10).content)
    page.get_by_label("Ckpt name").wait_for()
    assert page.get_by_role("textbox", name="Seed").input_value() == "5"
    page.evaluate("document.activeElement.blur()")
    visit.paste(json.dumps({"nodes": [{"id": 1, "type": "SaveImage"}], "links": [], "version": 0.4}))
    page.get_by_text("Export (API)").wait_for()
    visit.paste('{"hello": 1}')
    page.get_by_text("holds no ComfyUI workflow").wait_for()
    # What was there is still there.
    assert page.get_by_role("textbox", name="Seed").input_value() == "5"
    page.get_by_role("button", name="Random Seed").click()
    assert page.get_by_role("textbox", name="Seed").input_value() != "5"


def test_what_workflows_say_is_text_and_never_markup(visit: Visit, worker: ApiProcess) -> None:
    page = visit.page
    graph = {
        "1": titled(HOSTILE, "EmptyImage", width=64, height=64, batch_size=1, color=255),
        "2": titled(f"<script>{HOSTILE}</script>", "StandinFail", image=["1", 0], message=HOSTILE),
        "3": titled("javascript:alert(1)", "SaveImage", images=["2", 0], filename_prefix="x"),
        "4": titled("Tell", "StandinUI", ui=json.dumps({"text": [HOSTILE]})),
    }
    visit.load(graph, "hostile")
    page.fill("#job-name", HOSTILE)
    visit.run()
    visit.state("failed")
    page.wait_for_selector(".note.bad >> text=onerror")
    page.click(".node-details summary")
    assert HOSTILE in page.locator(".nodes").inner_text()
    assert HOSTILE in page.locator(".form-body").inner_text()
    assert page.locator(".rail .selected .job-row-name").inner_text() == HOSTILE
    assert page.evaluate("window.wasHit") is None
    assert page.locator("img[src=x], script:not([src])").count() == 0


def test_two_pictures_are_compared_and_calls_are_copied(visit: Visit, worker: ApiProcess) -> None:
    page = visit.page
    both = painting(21)
    both["9"] = titled("Other", "ImageInvert", image=["6", 0])
    both["10"] = titled("Save other", "SaveImage", images=["9", 0], filename_prefix="other")
    job_id = submit(worker, both, "two pictures")
    worker.ended(job_id)
    visit.open(f"#job/{job_id}")
    page.get_by_role("button", name="Keep to compare").click()
    page.locator(".thumb").nth(1).click()
    page.get_by_role("button", name="Compare with the picture kept").click()
    slider = page.get_by_label("How much of the left picture is shown")
    slider.fill("80")
    assert page.locator(".comparison").evaluate("frame => frame.style.getPropertyValue('--at')") == "80%"
    visit.shot("page-comparison-light")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Copy the call that makes it").click()
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_text("Copied.").first.wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    body = json.loads(copied.partition("<<'JSON'\n")[2].partition("\nJSON\n")[0])
    assert body == {"workflow": both, "labels": {"name": "two pictures"}}
    for language in ("Python", "RunPod"):
        page.get_by_role("button", name=language).click()
        compile(page.inner_text("dialog .code"), language, "exec")
    assert "os.environ" in page.inner_text("dialog .code")


def test_the_gallery_is_searched(visit: Visit, worker: ApiProcess) -> None:
    page = visit.page
    graph = painting(33)
    graph["2"]["inputs"]["text"] = "an otter reading quietly"
    worker.ended(submit(worker, graph, "otter"))
    found = f"{worker.url}/api/comfy/gallery?q=otter"
    wait_for(lambda: requests.get(found, timeout=10).json()["items"], "the picture in the gallery")
    visit.open("#gallery")
    page.wait_for_selector(".tile img")
    page.get_by_role("searchbox").fill("otter")
    page.get_by_text("1 found.").wait_for()
    visit.shot("page-gallery-light")
    page.locator(".tile").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Undo the deletion").click()
    page.get_by_text("is back").first.wait_for()
    page.locator(".tile").click()
    page.get_by_role("button", name="Load its workflow").click()
    page.get_by_label("Text").first.wait_for()
    assert page.get_by_label("Text").first.input_value() == "an otter reading quietly"


def test_instances_are_drained_and_given_jobs_again(visit: Visit) -> None:
    page = visit.page
    visit.open("#instances")
    page.locator(".card .pill.healthy").wait_for()
    page.get_by_role("button", name="Drain").click()
    page.locator(".card .pill.draining").wait_for()
    page.get_by_role("button", name="Give it jobs again").click()
    page.locator(".card .pill.healthy").wait_for()


def test_it_is_used_with_the_keyboard_alone(visit: Visit) -> None:
    page = visit.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    page.keyboard.press("Tab")
    assert page.evaluate(outline) == "solid"
    visit.load(sample_jobs.flat(4242), "by keyboard")
    page.locator("#job-name").focus()
    page.keyboard.press("Control+Enter")
    visit.state("done")


def test_a_phone_shows_one_thing_at_a_time(browser: Any, worker: ApiProcess) -> None:
    job_id = submit(worker, painting(44), "on the phone")
    worker.ended(job_id)
    running_id = submit(worker, painting(45, held_s=HELD_S), "running on the phone")
    with Visit(browser, worker.url, viewport=PHONE, scheme="dark", has_touch=True, is_mobile=True) as visit:
        visit.open(f"#job/{job_id}")
        visit.page.wait_for_selector(".picture-large img")
        visit.shot("page-phone-dark")
        for tab in ("Run", "Result", "Queue", "Gallery", "Instances"):
            visit.page.get_by_role("link", name=tab, exact=True).tap()
            assert visit.page.locator("main > .pane:visible").count() == 1
            assert_fits(visit)
        visit.open(f"#job/{running_id}")
        visit.page.wait_for_selector(".node[data-state=current] >> text=Hold")
        assert_fits(visit)
        visit.page.get_by_role("button", name="Cancel", exact=True).tap()
        visit.state("cancelled")


def assert_fits(visit: Visit) -> None:
    widths = visit.page.evaluate(
        "[document.documentElement, document.querySelector('main')].map(each => each.scrollWidth)"
    )
    assert max(widths) <= PHONE["width"]


def test_the_documentation_needs_nobody_else(browser: Any, worker: ApiProcess) -> None:
    with Visit(browser, worker.url) as visit:  # which fails for a request to another host
        visit.page.goto(f"{worker.url}/docs")
        operation = visit.page.locator("#operations-jobs-post_run")
        operation.click()
        operation.locator("text=Try it out").click()
        operation.locator("button:has-text('Execute')").click()
        operation.locator(".live-responses-table td.response-col_status", has_text="202").wait_for()
        assert any("/docs/assets/" in address for address in visit.addresses)
