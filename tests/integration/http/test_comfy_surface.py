"""/api/comfy over sockets with a ComfyUI behind it: queueing, asking, files by name, node definitions."""

import gzip
import io
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from PIL import Image
from support import sample_jobs
from support.comfy_rig import ComfyRig, comfy_rig, following
from support.standin_process import StandinProcess
from support.waiting import wait_for

from api.ids import JobId
from api.routes.comfy_words import ComfyHealth, ComfyHistory, ComfyObjectInfo, ComfyQueueResponse, ComfyStatus

UNKNOWN = "00000000-0000-4000-8000-000000000000"
WHERE = ("filename", "subfolder", "type")
FOREVER_S = 3600.0


@pytest.fixture(scope="module")
def standin() -> Iterator[StandinProcess]:
    with StandinProcess() as process:
        yield process


@pytest.fixture(scope="module", params=["standin", pytest.param("real", marks=pytest.mark.comfyui)])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyRig]:
    if request.param == "real" and "COMFYUI_TEST_URL" not in os.environ:
        pytest.skip("COMFYUI_TEST_URL is not set")
    url = os.environ["COMFYUI_TEST_URL"] if request.param == "real" else request.getfixturevalue("standin").url
    with comfy_rig(tmp_path_factory.mktemp("comfy"), url) as rig:
        yield rig


@pytest.fixture
def slow_rig(rig: ComfyRig, standin: StandinProcess) -> ComfyRig:
    """The rig where prompts can be made to take for ever."""
    if rig.comfy_url != standin.url:
        pytest.skip("needs a node of the stand-in")
    return rig


def image_of(status: dict) -> dict:
    (image,) = status["images"]
    return dict(image)


def where(image: dict) -> dict[str, str]:
    return {key: image[key] for key in WHERE}


def pixels(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def stop(rig: ComfyRig, prompt_id: str) -> None:
    requests.post(f"{rig.comfy_url}/interrupt", json={"prompt_id": prompt_id}, timeout=30)


def test_health_tells_what_it_talks_to(rig: ComfyRig) -> None:
    told = rig.get("/health").json()
    assert ComfyHealth.model_validate(told)
    name = rig.comfy_url.removeprefix("http://")
    assert told == {
        "ok": True,
        "enabled": True,
        "base_url": rig.comfy_url,
        "timeout": 30,
        "client_wired": True,
        "instances": [{"name": name, "status": "healthy"}],
    }


def test_a_workflow_from_the_queue_to_its_picture(rig: ComfyRig) -> None:
    answer = rig.post("/queue", json={"workflow": sample_jobs.flat(0x102030), "client_id": "page-1"})
    accepted = answer.json()
    prompt_id = accepted["prompt_id"]
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/api/comfy/status/{prompt_id}")
    assert ComfyQueueResponse.model_validate(accepted).client_id == "page-1"
    assert str(uuid.UUID(prompt_id)) == prompt_id
    ended = rig.ended(prompt_id)
    assert ComfyStatus.model_validate(ended).model_dump() == ended
    assert (ended["status"], ended["progress"], ended["error"], ended["position"]) == ("completed", 100, None, None)
    assert ended["instance"] == rig.comfy_url.removeprefix("http://")
    image = image_of(ended)
    assert (image["kind"], image["mime_type"], image["width"], image["subfolder"]) == (
        "image",
        "image/png",
        64,
        prompt_id,
    )
    history = rig.get(f"/history/{prompt_id}").json()
    assert ComfyHistory.model_validate(history).model_dump() == history
    assert (history["images"], history["items"]) == ([image], [image])
    by_url, by_name = requests.get(image["url"], timeout=30), rig.get("/view", params=where(image))
    assert by_url.content == by_name.content
    assert pixels(by_name.content).getpixel((0, 0)) == (0x10, 0x20, 0x30)


def test_a_client_id_is_made_where_none_is_given_and_a_repeated_request_has_the_same(rig: ComfyRig) -> None:
    body, headers = {"workflow": sample_jobs.flat()}, {"Idempotency-Key": str(uuid.uuid4())}
    first, again = (rig.post("/queue", json=body, headers=headers) for _ in range(2))
    assert again.headers["Idempotent-Replayed"] == "true"
    assert {key: again.json()[key] for key in ("prompt_id", "client_id")} == {
        key: first.json()[key] for key in ("prompt_id", "client_id")
    }
    assert uuid.UUID(first.json()["client_id"])
    rig.ended(first.json()["prompt_id"])


@pytest.mark.parametrize(
    "body", [{}, {"workflow": {}}, {"workflow": sample_jobs.flat(), "client_id": 7}, {"workflow": []}]
)
def test_what_cannot_be_queued_is_refused(rig: ComfyRig, body: dict) -> None:
    answer = rig.post("/queue", json=body)
    assert (answer.status_code, answer.json()["statusCode"]) == (400, 400)


def test_a_prompt_nobody_knows(rig: ComfyRig) -> None:
    for path in (f"/status/{UNKNOWN}", f"/history/{UNKNOWN}", f"/stream/{UNKNOWN}", "/status/a%20b"):
        answer = rig.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "JOB_NOT_FOUND"), path
    assert rig.post(f"/stream/{UNKNOWN}/link").status_code == 404


def test_a_failed_prompt_says_why(slow_rig: ComfyRig) -> None:
    workflow = {
        "1": sample_jobs.flat()["1"],
        "2": sample_jobs.node("StandinFail", image=["1", 0], message="no luck"),
        "3": sample_jobs.node("SaveImage", images=["2", 0], filename_prefix="x"),
    }
    ended = slow_rig.ended(slow_rig.queue(workflow))
    assert (ended["status"], ended["error"]["code"], ended["images"]) == ("failed", "EXECUTION_FAILED", [])
    assert "no luck" in ended["error"]["message"]


def test_parts_and_copies_of_a_jobs_picture(rig: ComfyRig) -> None:
    image = image_of(rig.ended(rig.queue(sample_jobs.flat(0x405060))))
    whole = rig.get("/view", params=where(image))
    check_conditional(rig, where(image), whole)
    assert whole.headers["Content-Disposition"] == f'inline; filename="{image["filename"]}"'
    # A folder that is no job's, and a name that is not in the job's, are asked for in ComfyUI.
    assert rig.get("/view", params={**where(image), "filename": "other.png"}).json()["code"] == "OUTPUT_NOT_FOUND"


def check_conditional(rig: ComfyRig, params: dict[str, str], whole: requests.Response) -> None:
    """The file is one to be cached, sought in and made small."""
    assert (whole.status_code, whole.headers["Content-Type"]) == (200, "image/png")
    assert whole.headers["Cache-Control"] == "private, no-cache"
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    tag, size = whole.headers["ETag"], len(whole.content)
    part = rig.get("/view", params=params, headers={"Range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, whole.content[4:12])
    assert part.headers["Content-Range"] == f"bytes 4-11/{size}"
    beyond = rig.get("/view", params=params, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
    changed = rig.get("/view", params=params, headers={"Range": "bytes=4-11", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, whole.content)
    several = rig.get("/view", params=params, headers={"Range": "bytes=0-1,4-5"})
    assert (several.status_code, several.content) == (200, whole.content)
    known = rig.get("/view", params=params, headers={"If-None-Match": tag})
    assert (known.status_code, known.content, known.headers["ETag"]) == (304, b"", tag)
    head = rig.session.head(f"{rig.url}/api/comfy/view", params=params, timeout=30)
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(size), b"")
    for _ in range(2):
        small = rig.get("/view", params={**params, "thumbnail": 16})
        assert (small.headers["Content-Type"], Image.open(io.BytesIO(small.content)).size) == ("image/webp", (16, 16))
    again = rig.get("/view", params={**params, "thumbnail": 16}, headers={"If-None-Match": small.headers["ETag"]})
    assert again.status_code == 304


def test_somebody_elses_prompt_is_told_without_its_secrets(rig: ComfyRig) -> None:
    prompt_id = rig.elsewhere(sample_jobs.flat(0x708090))
    ended = rig.ended(prompt_id)
    assert ComfyStatus.model_validate(ended).model_dump() == ended
    assert (ended["status"], ended["progress"], ended["created_at"]) == ("completed", 100, None)
    answer = rig.get(f"/history/{prompt_id}")
    history = answer.json()
    assert ComfyHistory.model_validate(history).model_dump() == history
    assert history["images"] == ended["images"]
    assert "sk-somebody" not in answer.text
    assert "EmptyImage" not in answer.text
    image = image_of(ended)
    whole = rig.get("/view", params=where(image))
    assert pixels(whole.content).getpixel((0, 0)) == (0x70, 0x80, 0x90)
    check_conditional(rig, {**where(image), "instance": ended["instance"]}, whole)
    with following(rig.session, f"{rig.url}/api/comfy/stream/{prompt_id}") as stream:
        events = list(stream)
    assert [event["event"] for event in events] == ["images", "status"]
    seen = rig.get(f"/stream/{prompt_id}", headers={"Last-Event-ID": events[-1]["id"]})
    assert seen.status_code == 204


def test_somebody_elses_prompts_are_followed_from_the_line_to_their_end(slow_rig: ComfyRig) -> None:
    first, second = (slow_rig.elsewhere(sample_jobs.slow(FOREVER_S, color)) for color in (1, 2))
    wait_for(lambda: slow_rig.status(first)["status"] == "running", "the first to run")
    waiting = slow_rig.status(second)
    assert (waiting["status"], waiting["position"], waiting["images"]) == ("queued", 1, [])
    with following(slow_rig.session, f"{slow_rig.url}/api/comfy/stream/{second}") as stream:
        assert stream.until("warning")["code"] == "POLLED"
        assert stream.until("status")["status"] == "queued"
        place = stream.ids[-1]
        stop(slow_rig, first)
        running = stream.until("status", status="running")
        assert (running["position"], running["progress"]) == (None, None)
    # A reader who comes back with what is no longer so is told what is.
    with following(slow_rig.session, f"{slow_rig.url}/api/comfy/stream/{second}", place) as stream:
        assert stream.until("status")["status"] == "running"
        stop(slow_rig, second)
        assert [(event["event"], event["data"]["status"]) for event in stream] == [("status", "cancelled")]
    assert slow_rig.ended(first)["status"] == "cancelled"


@pytest.mark.parametrize(
    "params",
    [
        {"filename": "../secret.png"},
        {"filename": "/etc/passwd"},
        {"filename": "a/b.png"},
        {"filename": "a\\b.png"},
        {"filename": "a.png\n"},
        {"filename": "a.png", "subfolder": "../.."},
        {"filename": "a.png", "subfolder": "x/../../y"},
        {"filename": "a.png", "subfolder": "/etc"},
        {"filename": "a.png", "subfolder": "C:/windows"},
        {"filename": "a.png", "subfolder": "..\\x"},
    ],
)
def test_paths_that_lead_elsewhere_are_refused(rig: ComfyRig, params: dict[str, str]) -> None:
    answer = rig.get("/view", params=params)
    assert (answer.status_code, answer.json()["details"][0]["code"]) == (400, "path_traversal")


def test_a_file_of_somebody_who_is_not_there(rig: ComfyRig) -> None:
    assert rig.get("/view", params={"filename": "nobodys.png"}).json()["code"] == "OUTPUT_NOT_FOUND"
    answer = rig.get("/view", params={"filename": "a.png", "instance": "elsewhere:1"})
    assert (answer.status_code, answer.json()["code"]) == (404, "INSTANCE_NOT_FOUND")
    assert rig.get("/view", params={"filename": "a.png", "type": "models"}).status_code == 422
    assert rig.get("/view").status_code == 422


def test_what_is_no_picture_is_sent_as_what_it_is(slow_rig: ComfyRig, standin: StandinProcess) -> None:
    folder = standin.directory / "output"
    (folder / "page.html").write_text("<script>alert(1)</script>")
    Image.new("RGB", (8, 8), "teal").save(folder / "really-jpeg.png", "JPEG")
    page = slow_rig.get("/view", params={"filename": "page.html"})
    assert (page.headers["Content-Type"], page.text) == ("text/html", "<script>alert(1)</script>")
    assert page.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert page.headers["Content-Disposition"].startswith("attachment")
    assert slow_rig.get("/view", params={"filename": "really-jpeg.png"}).headers["Content-Type"] == "image/jpeg"
    small = slow_rig.get("/view", params={"filename": "page.html", "thumbnail": 64})
    assert (small.status_code, small.json()["details"][0]["code"]) == (400, "no_picture")


def test_a_file_that_is_cut_short_is_not_taken_for_whole(slow_rig: ComfyRig, standin: StandinProcess) -> None:
    (standin.directory / "output" / "long.bin").write_bytes(bytes(1_000_000))
    standin.set_fault("truncate_view", "500000:1")
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        slow_rig.get("/view", params={"filename": "long.bin"})
    assert len(slow_rig.get("/view", params={"filename": "long.bin"}).content) == 1_000_000


def test_node_definitions_are_kept_compressed_and_conditional(rig: ComfyRig) -> None:
    answer = rig.get("/object-info", headers={"Accept-Encoding": "gzip"}, stream=True)
    raw = answer.raw.read(decode_content=False)
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert answer.headers["X-Comfy-Instance"] == rig.comfy_url.removeprefix("http://")
    plain = rig.get("/object-info", headers={"Accept-Encoding": "identity"})
    assert gzip.decompress(raw) == plain.content
    assert "Content-Encoding" not in plain.headers
    nodes = plain.json()
    assert ComfyObjectInfo.model_validate(nodes)
    assert nodes["SaveImage"] == requests.get(f"{rig.comfy_url}/object_info/SaveImage", timeout=30).json()["SaveImage"]
    for tag in (answer.headers["ETag"], plain.headers["ETag"]):
        known = rig.get("/object-info", headers={"If-None-Match": tag})
        assert (known.status_code, known.content) == (304, b"")
    assert rig.get("/object-info", params={"refresh": 1}).headers["ETag"] == answer.headers["ETag"]


def test_one_node_by_either_address(rig: ComfyRig) -> None:
    by_path, by_query = rig.get("/object-info/SaveImage"), rig.get("/object-info", params={"node": "SaveImage"})
    assert by_path.json() == by_query.json()
    assert list(by_path.json()) == ["SaveImage"]
    unknown = rig.get("/object-info/SaveImag")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "NODE_TYPE_UNKNOWN")
    assert "SaveImage" in unknown.json()["details"][0]["nearest"]
    assert rig.get("/object-info", params={"instance": "elsewhere:1"}).status_code == 404
    name = rig.comfy_url.removeprefix("http://")
    assert rig.get("/object-info/SaveImage", params={"instance": name}).json() == by_path.json()


def test_a_new_node_is_seen_by_who_asks_anew(slow_rig: ComfyRig, standin: StandinProcess) -> None:
    before = slow_rig.get("/object-info/LoadImage").json()
    (standin.directory / "input" / "brand-new.png").write_bytes(sample_jobs.png())
    (standin.directory / "input" / ("0f" * 16)).mkdir()
    assert slow_rig.get("/object-info/LoadImage").json() == before
    choices = slow_rig.get("/object-info/LoadImage?refresh=1").json()["LoadImage"]["input"]["required"]["image"][0]
    assert "brand-new.png" in choices


def test_a_job_is_streamed_to_its_end(rig: ComfyRig) -> None:
    prompt_id = rig.queue(sample_jobs.chain(5, color=0x0A0B0C))
    with following(rig.session, f"{rig.url}/api/comfy/stream/{prompt_id}") as stream:
        events = list(stream)
    assert [event["event"] for event in events[-2:]] == ["images", "status"]
    end = events[-1]["data"]
    assert (end["status"], end["images"]) == ("completed", events[-2]["data"]["images"])
    assert end == rig.status(prompt_id)
    assert rig.get(f"/stream/{prompt_id}", headers={"Last-Event-ID": events[-1]["id"]}).status_code == 204


def test_a_lost_socket_is_told_and_so_is_its_return(slow_rig: ComfyRig, standin: StandinProcess) -> None:
    prompt_id = slow_rig.queue(sample_jobs.slow(FOREVER_S, color=9))
    with following(slow_rig.session, f"{slow_rig.url}/api/comfy/stream/{prompt_id}") as stream:
        stream.until("status", status="running", node="2")
        standin.set_fault("drop_socket_after", 1)
        assert stream.until("warning")["code"] == "SOCKET_LOST"
        assert stream.until("warning")["code"] == "SOCKET_RESTORED"
        slow_rig.layer.service.cancel(JobId(prompt_id))
        assert list(stream)[-1]["data"]["status"] == "cancelled"


def test_of_several_comfyuis_each_is_asked_for_what_it_has(standin: StandinProcess, tmp_path: Path) -> None:
    with StandinProcess() as other, comfy_rig(tmp_path, f"{standin.url},{other.url}") as rig:
        (other.directory / "output" / "only-there.txt").write_text("there")
        (other.directory / "output" / "both.txt").write_text("other")
        (standin.directory / "output" / "both.txt").write_text("first")
        (other.directory / "input" / "only-there.png").write_bytes(sample_jobs.png())
        assert rig.get("/view", params={"filename": "only-there.txt"}).text == "there"
        name = other.url.removeprefix("http://")
        assert rig.get("/view", params={"filename": "both.txt"}).text == "first"
        assert rig.get("/view", params={"filename": "both.txt", "instance": name}).text == "other"
        # Choices of one ComfyUI are not those of another.
        first = rig.get("/object-info/LoadImage")
        assert first.headers["X-Comfy-Instance"] == standin.url.removeprefix("http://")
        there = rig.get("/object-info/LoadImage", params={"instance": name})
        assert there.headers["X-Comfy-Instance"] == name
        assert ("only-there.png" in first.text, "only-there.png" in there.text) == (False, True)
        answer = requests.post(f"{other.url}/prompt", json={"prompt": sample_jobs.flat(5)}, timeout=30)
        assert rig.ended(answer.json()["prompt_id"])["instance"] == name
