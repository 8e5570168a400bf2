"""POST /api/comfy/ingest: what is kept, what is refused, and that nothing is lost when many come at once."""

import hashlib
import io
import json
import struct
import wave
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.gallery_rig import MAX_BYTES, PROMPT, GalleryRig, gallery_rig, of_comfyui, opened, picture

from api.gallery.entry import Wanted
from api.gallery.words import query

DAY_S = 24 * 3600.0


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GalleryRig]:
    with gallery_rig(tmp_path_factory.mktemp("ingest") / "generated/comfy") as rig:
        yield rig


def refused(rig: GalleryRig, content: bytes, name: str = "made.png", **fields: Any) -> tuple[int, str, str]:
    """Status, and field and code of the first detail; nothing may be left of it."""
    before = sorted(path.name for path in rig.root.rglob("*") if path.is_file() and "db" not in path.name)
    answer = rig.send(content, name, **fields)
    after = sorted(path.name for path in rig.root.rglob("*") if path.is_file() and "db" not in path.name)
    assert [name for name in after if name not in before and len(name) > 10] == []
    detail = answer.json()["details"][0]
    assert answer.json()["message"] and detail["message"]
    return answer.status_code, detail["field"], detail["code"]


def test_a_file_is_kept_by_day_and_hash_with_all_that_was_told_of_it(rig: GalleryRig) -> None:
    content = picture(0x010203, (40, 30))
    workflow = {"1": {"class_type": "EmptyImage", "inputs": {"width": 40}}}
    answer = rig.send(content, "my picture.PNG", prompt_id="p-1", workflow=workflow, metadata={"rating": 5})

    told = answer.json()
    sha256 = hashlib.sha256(content).hexdigest()
    day = datetime.fromtimestamp(rig.clock.now, UTC).date().isoformat()
    assert answer.status_code == 201 and answer.headers["Location"] == f"/api/comfy/gallery/{sha256}"
    assert told["path"] == f"{day}/{sha256}.png" and told["sidecar_path"] == f"{told['path']}.json"
    assert (rig.root / told["path"]).read_bytes() == content
    assert rig.sidecar(told) == {
        "version": 1,
        "sha256": sha256,
        "source": "ingested",
        "lasting": True,
        "prompt_id": "p-1",
        "job_ids": [],
        "workflow_name": None,
        "file": {
            "name": f"{sha256}.png",
            "filename": "my picture.png",
            "media_type": "image/png",
            "size_bytes": len(content),
            "width": 40,
            "height": 30,
            "created_at": rig.clock.now,
        },
        "metadata": {"rating": 5},
        "workflow": workflow,
        "also": [],
    }
    assert (told["id"], told["width"], told["height"], told["day"]) == (sha256, 40, 30, day)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_the_workflow_that_comfyui_wrote_into_the_file_is_taken(rig: GalleryRig, kind: str) -> None:
    told = rig.kept(of_comfyui(kind, color=0x111111), f"ComfyUI_00001_.{kind.lower()}")

    workflow = rig.sidecar(told)["workflow"]
    assert workflow["6"] == PROMPT["6"] and workflow["3"]["is_changed"] == [None]  # JSON knows no NaN
    assert told["prompt"] == "a lighthouse at dusk" and told["checkpoints"] == ["sdxl/base.safetensors"]


def test_a_workflow_that_was_sent_goes_before_the_one_in_the_file(rig: GalleryRig) -> None:
    own = {"9": {"class_type": "Note", "inputs": {"text": "mine"}}}
    assert rig.sidecar(rig.kept(of_comfyui(color=0x222222), workflow=own))["workflow"] == own


def test_the_same_content_is_kept_once_whatever_day_it_comes_and_nothing_told_of_it_is_lost(rig: GalleryRig) -> None:
    content = picture(0x333333)
    first = rig.kept(content, "first.png", prompt_id="p-a", metadata={"a": 1, "both": "old"})
    rig.clock.tick(3 * DAY_S)
    answer = rig.send(content, "second.png", prompt_id="p-b", metadata={"b": 2, "both": "new"}, workflow={"1": {}})
    rig.send(content, "third.png", prompt_id="p-b", metadata={"b": 2, "both": "new"})
    again = answer.json()

    assert answer.status_code == 200 and again["is_duplicate"] and again["path"] == first["path"]
    assert len(list(rig.root.glob(f"*/{first['id']}.png"))) == 1
    kept = rig.sidecar(again)
    assert kept["prompt_id"] == "p-a" and kept["metadata"] == {"a": 1, "b": 2, "both": "old"}
    assert kept["workflow"] == {"1": {}}
    assert [(each["prompt_id"], each["metadata"]) for each in kept["also"]] == [("p-b", {"b": 2, "both": "new"})]
    assert [item["filename"] for item in rig.listed(q="p-b new")] == ["first.png"]


def test_twenty_at_once_through_two_servers_keep_one_copy_and_lose_no_sidecar(rig: GalleryRig, tmp_path: Path) -> None:
    content = of_comfyui(color=0x444444)
    with gallery_rig(tmp_path) as one, gallery_rig(tmp_path) as other:
        servers = [one, other] * 10
        with ThreadPoolExecutor(20) as pool:
            numbers = range(20)
            sent = list(
                pool.map(
                    lambda number: servers[number].send(
                        content, f"{number}.png", prompt_id=f"prompt{number}", metadata={"n": number, f"k{number}": 1}
                    ),
                    numbers,
                )
            )
        assert sorted(answer.status_code for answer in sent) == [200] * 19 + [201]
        assert len({answer.json()["path"] for answer in sent}) == 1
        kept = one.sidecar(sent[0].json())
        told = [{"prompt_id": kept["prompt_id"], "metadata": kept["metadata"]}, *kept["also"]]
        assert {each["prompt_id"] for each in told} == {f"prompt{number}" for number in numbers}
        assert {each["metadata"]["n"] for each in told} == set(numbers)
        assert all(kept["metadata"][f"k{number}"] == 1 for number in numbers)
        assert [len(each.listed(q=f"prompt{number}")) for each in (one, other) for number in numbers] == [1] * 40
        assert sorted(path.suffix for path in tmp_path.glob("2*/*")) == [".json", ".png"]
        assert list((tmp_path / ".gallery/drafts").iterdir()) == []


def test_different_ones_at_once_are_all_kept(rig: GalleryRig) -> None:
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda color: rig.kept(picture(0x550000 + color)), range(24)))
    assert all((rig.root / each["sidecar_path"]).exists() and not each["is_duplicate"] for each in told)


def _wav() -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(160))
    return made.getvalue()


def _box(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


_MP4 = _box(b"ftyp", b"isom\0\0\2\0isomiso2") + _box(b"moov", bytes(40)) + _box(b"mdat", b"frames")
_FLAC = b"fLaC\0\0\0\x22" + bytes(34)
_MP3_FRAME = b"\xff\xfb\x90\x00" + bytes(413)
_ZIP = io.BytesIO()
with zipfile.ZipFile(_ZIP, "w") as _archive:
    _archive.writestr("index.html", "alert(1)")


@pytest.mark.parametrize(
    ("content", "media_type", "extension"),
    [
        (picture(1, kind="JPEG"), "image/jpeg", "jpg"),
        (picture(2, kind="GIF"), "image/gif", "gif"),
        (picture(3, kind="AVIF"), "image/avif", "avif"),
        (picture(4, kind="TIFF"), "image/tiff", "tiff"),
        (picture(5, kind="JPEG", progressive=True), "image/jpeg", "jpg"),
        (_MP4, "video/mp4", "mp4"),
        (_wav(), "audio/wav", "wav"),
        (_FLAC, "audio/flac", "flac"),
        (_MP3_FRAME * 3, "audio/mpeg", "mp3"),
    ],
)
def test_pictures_videos_and_sounds_are_told_by_their_content(
    rig: GalleryRig, content: bytes, media_type: str, extension: str
) -> None:
    told = rig.kept(content, "page.html")
    assert (told["media_type"], told["path"].rpartition(".")[2]) == (media_type, extension)
    assert told["filename"] == f"page.{extension}"
    sent = rig.get(told["file_url"])
    assert sent.content == content and sent.headers["Content-Type"] == media_type
    assert sent.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<!doctype html><script>alert(1)</script>", "unsupported_format"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "unsupported_format"),
        (b"", "empty"),
        (b"%PDF-1.7", "unsupported_format"),
        (_ZIP.getvalue(), "unsupported_format"),
        (picture()[:-30], "invalid_picture"),
        (picture() + _ZIP.getvalue(), "malformed"),
        (picture(kind="JPEG") + b"<script>alert(1)</script>", "malformed"),
        (picture(kind="GIF") + b"/*x*/=1;alert(1)", "malformed"),
        (picture(kind="WEBP") + _ZIP.getvalue(), "malformed"),
        (b"BM<html><script>alert(1)</script>", "invalid_picture"),
        (b"<!--ftypmp42--><script>alert(1)</script>", "polyglot"),
        (_MP4 + _ZIP.getvalue(), "malformed"),
        (_MP4[:-3], "malformed"),
        (_wav() + _ZIP.getvalue(), "malformed"),
        (b"ID3" + bytes(7) + b"#EXTM3U\nhttp://127.0.0.1/secret", "refers_elsewhere"),
        (b"\xff\xfb<script>alert(1)</script>", "polyglot"),
        (b"\xff\xfbsome text", "malformed"),
    ],
)
def test_what_is_anything_else_or_something_else_besides_is_refused(rig: GalleryRig, content: bytes, code: str) -> None:
    assert refused(rig, content) == (400, "file", code)


def test_limits(rig: GalleryRig) -> None:
    assert refused(rig, picture(size=(2500, 2500))) == (413, "file", "too_many_pixels")
    answer = rig.send(b"\x89PNG\r\n\x1a\n" + bytes(MAX_BYTES))
    assert answer.status_code == 413 and answer.json()["code"] == "INPUT_TOO_LARGE"
    assert list((rig.root / ".gallery/drafts").iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"workflow": "{"}, "workflow", "invalid_json"),
        ({"workflow": "[]"}, "workflow", "not_an_object"),
        ({"metadata": '{"a": NaN}'}, "metadata", "not_finite"),
        ({"metadata": '{"a": 1, "a": 2}'}, "metadata", "duplicate_key"),
        ({"metadata": '{"a": ' + "[" * 200 + "]" * 200 + "}"}, "metadata", "too_deep"),
        ({"metadata": b'{"a": "\xff"}'}, "metadata", "invalid_text"),
        ({"prompt_id": "a\nb"}, "prompt_id", "invalid_text"),
        ({"promptId": "p-1"}, "promptId", "unknown_field"),
    ],
)
def test_a_field_that_cannot_be_read_is_named(rig: GalleryRig, fields: dict[str, Any], field: str, code: str) -> None:
    assert refused(rig, picture(0x666666), **fields) == (400, field, code)


def test_forms_that_are_none(rig: GalleryRig) -> None:
    path = "/api/comfy/ingest"
    assert rig.request("POST", path, json={"file": "x"}).status_code == 415
    missing = rig.request("POST", path, files={"prompt_id": (None, "p-1")})
    assert missing.status_code == 400 and missing.json()["details"][0]["field"] == "file"
    twice = rig.request("POST", path, files=[("file", ("a.png", picture())), ("file", ("b.png", picture()))])
    assert twice.json()["details"][0]["code"] == "duplicate_key"
    text = rig.request("POST", path, files={"file": (None, "no file")})
    assert text.json()["details"][0]["code"] == "not_a_file"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    cut = rig.request("POST", path, data=b'--x\r\nContent-Disposition: form-data; name="file"; filen', headers=headers)
    assert cut.status_code == 400
    long = rig.send(picture(0x777777), prompt_id="p" * 300)
    assert long.status_code == 413 and long.json()["details"][0]["field"] == "prompt_id"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../../etc/passwd", "passwd.png"),
        ("..\\..\\evil.exe", "evil.png"),
        ("a\r\nb.png", "a__b.png"),
        ("/", "picture.png"),
        (".png", "png.png"),
        ("ComfyUI_00001_.png", "ComfyUI_00001_.png"),
        ("\u202egnp.exe", "gnp.png"),
        ("猫" * 200 + ".png", None),
    ],
)
def test_a_name_is_only_ever_shown_and_leads_nowhere(rig: GalleryRig, name: str, shown: str | None) -> None:
    content = picture(zlib.crc32(name.encode()) & 0xFFFFFF, (17, 19))
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="'
        + name.replace("\\", "\\\\").replace("\r\n", "%0D%0A").encode()
        + b'"\r\n\r\n'
        + content
        + b"\r\n--x--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    told = rig.request("POST", "/api/comfy/ingest", data=body, headers=headers).json()

    assert (rig.root / told["path"]).read_bytes() == content
    assert shown is None or told["filename"] == shown or "%0D" in told["filename"]
    assert len(told["filename"].encode()) <= 210 and "/" not in told["filename"]


def test_strange_texts_can_be_kept_and_searched(rig: GalleryRig) -> None:
    strange = {"nul": "a\\u0000b", "emoji": "🦊", "sentence": "白い狐が好き"}
    raw = json.dumps(strange).replace("\\\\u0000", "\\u0000")
    told = rig.kept(picture(0x888888), metadata=raw)
    assert rig.sidecar(told)["metadata"]["nul"] == "a\0b"
    assert [item["id"] for item in rig.listed(q="狐")] == [told["id"]]


def test_a_phones_picture_with_a_second_one_behind_it_is_one(rig: GalleryRig) -> None:
    made = io.BytesIO()
    Image.new("RGB", (20, 20)).save(made, "MPO", save_all=True, append_images=[Image.new("RGB", (10, 10))])
    assert rig.kept(made.getvalue(), "phone.jpg")["media_type"] == "image/jpeg"


def test_all_of_it_is_there_for_a_gallery_that_is_opened_anew(rig: GalleryRig) -> None:
    rig.kept(of_comfyui(color=0x515151))
    other = opened(rig.root)
    try:
        assert other.page(Wanted(query("lighthouse")), 10)
        count = len(list(rig.root.glob("2*/*.json")))
        assert other.reindex() == count == sum(each.count for each in other.days(Wanted()))
    finally:
        other.close()
