"""What the gallery does not take in without end: of one file, of one disk, of what pictures carry."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.gallery_rig import GalleryRig, gallery_rig, opened, picture

from api.errors import StorageFull, StoreUnavailable
from api.gallery.content import Content
from api.gallery.files import GalleryFolder
from api.gallery.gallery import Gallery
from api.gallery.given import Given
from api.gallery.sidecar import Source
from api.gallery_layer import build_gallery
from api.job_layer import build_job_layer
from api.jobs.spool import Spool
from api.outputs.workflow_text import as_png
from api.settings import Settings


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GalleryRig]:
    with gallery_rig(tmp_path_factory.mktemp("gallery")) as made:
        yield made


def _no_json(word: str) -> Any:
    raise AssertionError(f"{word} is no JSON")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"1": {"class_type": "X", "inputs": {"a": 1e999}}}', {"1": {"class_type": "X", "inputs": {"a": None}}}),
        ('{"1": ' + '{"a":' * 90 + "1" + "}" * 90 + "}", True),
        ('{"1": ' + '{"a":' * 150 + "1" + "}" * 150 + "}", None),
        ('{"1": ' + "[" * 981 + "]" * 981 + "}", None),
        ('{"1": "' + "a" * 2_000_000 + '"}', None),
    ],
    ids=["infinite", "deep", "too deep", "far too deep", "too long"],
)
def test_what_a_picture_carries_is_kept_only_if_it_can_be_told(
    rig: GalleryRig, tmp_path: Path, text: str, kept: Any
) -> None:
    content = picture(len(text) & 0xFFFFFF, pnginfo=as_png({"prompt": text}))
    told = rig.kept(content)
    answer = rig.get(f"/api/comfy/gallery/{told['id']}")
    workflow = json.loads(answer.text, parse_constant=_no_json)["sidecar"]["workflow"]
    assert workflow == kept or (kept is True and workflow["1"])


def test_a_full_sidecar_takes_no_more_texts_but_the_file_is_still_taken(rig: GalleryRig) -> None:
    content = picture(0xABCDEF)
    for number in range(3):
        workflow = {"1": {"class_type": "Note", "inputs": {"text": str(number) * 1_900_000}}}
        told = rig.kept(content, prompt_id=f"p{number}", workflow=workflow, metadata={f"k{number}": 1})
    sidecar = rig.sidecar(told)
    assert told["is_duplicate"] and sidecar["metadata"] == {"k0": 1, "k1": 1}
    kept = [(each["prompt_id"], "workflow" in each) for each in sidecar["also"]]
    assert kept == [("p1", True), ("p2", False)]


def test_a_workflow_that_is_too_large_is_refused_in_words(rig: GalleryRig) -> None:
    workflow = {"1": {"class_type": "Note", "inputs": {"text": "a" * 2_000_000}}}
    answer = rig.send(picture(0xABCDEE), workflow=workflow)
    assert (answer.status_code, answer.json()["details"][0]["field"]) == (413, "workflow")
    assert "workflow is larger than 2,000,000 bytes" in answer.json()["message"]


def test_what_is_kept_is_for_its_owner_alone_and_folders_that_are_there_stay_open(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    for root in (tmp_path / "made" / "here", shared):
        with closing(opened(root)) as gallery, gallery.begin() as incoming:
            incoming.write(picture(7))
            entry = gallery.ingest(incoming, Given()).entry
            assert gallery.thumbnail(entry, 128)
        open_to_others = {path for path in (root, *root.rglob("*")) if path.stat().st_mode & 0o077}
        inside = root / ".gallery" / "thumbnails"
        assert open_to_others - {inside} == ({shared} if root == shared else set())
        assert root.stat().st_mode & 0o777 == (0o755 if root == shared else 0o700)


@pytest.mark.parametrize(
    ("begun", "status"),
    [
        (b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"a" * 4_100_000, 413),
        (b'Content-Disposition: form-data; name="other"\r\n\r\n', 400),
    ],
)
def test_a_form_that_goes_on_after_its_refusal_is_hung_up_on(rig: GalleryRig, begun: bytes, status: int) -> None:
    address = urlsplit(rig.server.url)
    with closing(HTTPConnection(str(address.hostname), address.port, timeout=20)) as connection:
        connection.putrequest("POST", "/api/comfy/ingest")
        connection.putheader("Content-Type", "multipart/form-data; boundary=x")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        content = b"--x\r\n" + begun
        connection.send(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (status, "close")


def test_room_is_looked_for_where_the_gallery_is(tmp_path: Path) -> None:
    given: dict[str, Any] = {"comfy_host": "http://127.0.0.1:9", "comfy_run_dir": tmp_path, "work_dir": tmp_path / "w"}
    layer = build_job_layer(Settings(**given, sqlite_db_path=tmp_path / "j.db", root_dir=tmp_path / "elsewhere"), {})
    gallery = build_gallery(layer).gallery
    try:
        with gallery.begin() as incoming:
            incoming.write(b"a")
            shutil.rmtree(tmp_path / "elsewhere")
            with pytest.raises(StoreUnavailable, match="comfy"):
                incoming.write(b"b")
    finally:
        gallery.close()
        layer.close()


def test_a_disk_without_room_is_told_whichever_it_is(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1)
    spool.check_room_in(tmp_path)
    with pytest.raises(StorageFull):
        spool.check_room_in(Path("/proc"))  # which has none


def test_outputs_on_another_disk_are_copied_while_there_is_room(tmp_path: Path) -> None:
    def no_room(wanted_bytes: int) -> None:
        raise StorageFull(f"No room for {wanted_bytes}.")

    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        source = Path(elsewhere, "made.png")
        if source.parent.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("There is one file system only")
        source.write_bytes(picture(1))
        full = Gallery(GalleryFolder(tmp_path), max_bytes=1, max_pixels=1, undo_s=1.0, check_room=no_room)
        with pytest.raises(StorageFull):
            full.add(source, "a" * 64, Given(), lasting=True)
        assert [path for path in tmp_path.rglob("*") if path.suffix in {".png", ".json"}] == []
        full.close()
        gallery = opened(tmp_path)
        stored = gallery.add(source, "a" * 64, Given(), lasting=True)
        assert stored and gallery.path(stored.entry).read_bytes() == picture(1)
        gallery.close()


def test_of_a_picture_that_comes_from_job_after_job_the_last_ones_are_noted() -> None:
    content = Content("png", "image/png", 48, 32)
    sidecars = (
        Given(prompt_id=f"job-{number}", job_id=f"job-{number}", workflow={"1": {"seed": number}}).sidecar(
            "b" * 64, 100, content, Source.GENERATED, 1e9 + number, lasting=False
        )
        for number in range(1002)
    )
    sidecar = next(sidecars)
    for another in sidecars:
        sidecar = sidecar.merged(another)
    assert len(sidecar.job_ids) == 1000 and sidecar.job_ids[-1] == "job-1001"
    assert len(sidecar.also) == 200


def test_a_prompt_that_is_known_as_a_job_is_nothing_new(tmp_path: Path) -> None:
    source = tmp_path / "made.png"
    source.write_bytes(picture(3))
    gallery = opened(tmp_path / "gallery")
    for job in ("one", "two", "two"):
        stored = gallery.add(source, "c" * 64, Given(prompt_id=job, job_id=job), lasting=False)
    assert stored
    sidecar = gallery.sidecar(stored.entry)
    assert (sidecar.prompt_id, sidecar.job_ids, sidecar.also) == ("one", ("one", "two"), ())
    gallery.close()


def test_lists_stay_short_whatever_a_file_is_said_to_be_made_with(tmp_path: Path) -> None:
    loaders = {
        str(at): {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": f"{at}.safetensors"}}
        for at in range(1000)
    }
    with closing(opened(tmp_path)) as gallery, gallery.begin() as incoming:
        incoming.write(picture(3))
        entry = gallery.ingest(incoming, Given(workflow=loaders, metadata={"workflow_name": "n" * 100_000})).entry
        assert (len(entry.checkpoints), len(entry.workflow_name or "")) == (32, 200)
        # All of it is still with the file.
        assert len(gallery.sidecar(entry).workflow or {}) == 1000
