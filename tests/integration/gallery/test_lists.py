"""GET /api/comfy/gallery and what is below it: pages, days, search, filters, files, thumbnails, deletion and undo."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from PIL import Image
from support.gallery_rig import PROMPT, UNDO_S, GalleryRig, gallery_rig, picture

from api.routes.auth import Guard

DAY_S = 24 * 3600.0
GALLERY = "/api/comfy/gallery"
KEY = "sesame"


def _prompt(text: str, checkpoint: str) -> dict[str, Any]:
    return {
        "3": {"class_type": "KSampler", "inputs": PROMPT["3"]["inputs"]},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["4", 1]}},
        "7": PROMPT["7"],
    }


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GalleryRig]:
    """30 pictures on three days: named by their number, the even ones with a key of their own and another size."""
    with gallery_rig(tmp_path_factory.mktemp("lists"), Guard([KEY])) as rig:
        rig.session.headers["X-API-Key"] = KEY
        for number in range(30):
            rig.clock.now = 1_700_000_000.0 + number // 10 * DAY_S + number
            even = number % 2 == 0
            rig.kept(
                picture(number + 1, (64, 32) if even else (200, 300)),
                f"{number}.png",
                prompt_id=f"id-{number}",
                workflow=_prompt(f"a castle number{number} by the sea", "flux.safetensors" if even else "sd15.ckpt"),
                metadata={"workflow_name": "even" if even else "odd", "artist": "Zoë", "nested": {"a": [number]}},
            )
        rig.kept(_mp4(), "clip.mp4", metadata={"note": "moving"})
        yield rig


def _mp4() -> bytes:
    box = b"\0\0\0\x10ftypisom\0\0\0\0"
    return box + b"\0\0\0\x08moov" + b"\0\0\0\x08mdat"


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["filename"].partition(".")[0] for item in items]


def test_pages_show_everything_once_newest_first(rig: GalleryRig) -> None:
    shown: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = rig.get(GALLERY, params={"limit": 7, **({"cursor": cursor} if cursor else {})}).json()
        shown += page["items"]
        assert len(page["items"]) <= 7 and page["is_indexing"] is False
        cursor = page["next"]
        if cursor is None:
            break
    assert names(shown) == ["clip", *(str(number) for number in reversed(range(30)))]
    assert len(rig.listed(limit=200)) == 31 and len(rig.listed()) == 31


def test_a_page_goes_on_where_it_was_while_more_comes_in_and_goes(rig: GalleryRig) -> None:
    page = rig.get(GALLERY, params={"limit": 5}).json()
    fresh = rig.kept(picture(0xAAAAAA))
    rig.request("DELETE", f"{GALLERY}/{fresh['id']}")
    following = rig.listed(limit=2, cursor=page["next"])
    assert names(page["items"]) == ["clip", "29", "28", "27", "26"] and names(following) == ["25", "24"]


def test_an_item_tells_what_a_list_needs(rig: GalleryRig) -> None:
    item = rig.listed(q="number4")[0]
    links = {name: item.pop(name) for name in ("file_url", "thumbnail_url")}
    assert item == {
        "id": item["id"],
        "filename": "4.png",
        "media_type": "image/png",
        "kind": "image",
        "size_bytes": len(picture(5, (64, 32))),
        "width": 64,
        "height": 32,
        "created_at": 1_700_000_004.0,
        "day": "2023-11-14",
        "source": "ingested",
        "prompt_id": "id-4",
        "job_id": None,
        "workflow_name": "even",
        "checkpoints": ["flux.safetensors"],
        "prompt": "a castle number4 by the sea",
        "deleted_until": None,
    }
    whole = rig.get(f"{GALLERY}/{item['id']}").json()
    assert whole["sidecar"]["metadata"]["nested"] == {"a": [4]} and whole["filename"] == "4.png"
    for link in links.values():
        assert requests.get(rig.server.url + link, timeout=10).status_code == 200  # without the key
        assert requests.get(rig.server.url + link.partition("?")[0], timeout=10).status_code == 401


def test_days_are_counted_and_filtered(rig: GalleryRig) -> None:
    days = rig.get(f"{GALLERY}/days").json()
    assert days["days"] == [
        {"day": "2023-11-16", "count": 11},
        {"day": "2023-11-15", "count": 10},
        {"day": "2023-11-14", "count": 10},
    ]
    assert days["total"] == 31
    even = rig.get(f"{GALLERY}/days", params={"workflow": "even", "day": "2023-11-15"}).json()
    assert even == {"days": [{"day": "2023-11-15", "count": 5}], "total": 5}
    assert names(rig.listed(day="2023-11-14", limit=2)) == ["9", "8"]
    assert rig.get(f"{GALLERY}/facets").json() == {
        "workflows": [{"name": "even", "count": 15}, {"name": "odd", "count": 15}],
        "checkpoints": [{"name": "flux.safetensors", "count": 15}, {"name": "sd15.ckpt", "count": 15}],
    }


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"workflow": "even"}, 15),
        ({"checkpoint": "sd15.ckpt"}, 15),
        ({"checkpoint": "sd15.ckpt", "workflow": "even"}, 0),
        ({"checkpoint": "sd15"}, 0),
        ({"kind": "video"}, 1),
        ({"source": "generated"}, 0),
        ({"min_width": 65}, 15),
        ({"max_width": 64}, 15),
        ({"min_height": 300, "max_height": 300}, 15),
        ({"min_width": 201}, 0),
        ({"q": "castle"}, 30),
        ({"q": "castle sea"}, 30),
        ({"q": "CASTLE zoe"}, 30),
        ({"q": '"by the sea"'}, 30),
        ({"q": '"the by sea"'}, 0),
        ({"q": "number1"}, 11),
        ({"q": '"number1"'}, 1),
        ({"q": "moving"}, 1),
        ({"q": "id-7"}, 1),
        ({"q": "artist castle flux", "max_width": 64, "day": "2023-11-14"}, 5),
        ({"q": "castle", "checkpoint": "sd15.ckpt"}, 15),
        ({"q": ""}, 31),
        ({"q": " "}, 31),
    ],
)
def test_search_and_filters(rig: GalleryRig, wanted: dict[str, Any], count: int) -> None:
    assert len(rig.listed(**wanted)) == count
    assert rig.get(f"{GALLERY}/days", params=wanted).json()["total"] == count


@pytest.mark.parametrize(
    "asked",
    [
        *(
            '"',
            "''",
            "*",
            "castle*",
            "cas*le",
            "castle OR sea",
            "NOT castle",
            "castle AND",
            "NEAR(castle sea)",
            "NEAR/3",
        ),
        *("body:castle", "{body}:castle", "^castle", "castle)", "(((", "-castle", "castle -sea", "+", "\\", "%", "_"),
        *('"castle', 'castle"sea', '""', '" "', "'; DROP TABLE items; --", "a" * 1000, "\x00castle", "\ud83d", "🦊"),
        *("castle;", "rowid", "texts MATCH 'x'", "“castle”", "--", "c", "castle\nsea", "?9x", ":x", "$x"),
    ],
)
def test_nothing_that_is_typed_is_taken_for_an_operator(rig: GalleryRig, asked: str) -> None:
    answer = rig.get(GALLERY, params={"q": asked.encode("utf-8", "surrogatepass")})
    assert answer.status_code == 200, answer.text
    # Each word of it has to be there; words like OR are none of any picture.
    assert len(answer.json()["items"]) in (0, 30)
    assert len(rig.listed()) == 31


@pytest.mark.parametrize(
    "wanted",
    [
        {"limit": 0},
        {"limit": 201},
        {"cursor": "x"},
        {"cursor": "-1"},
        {"cursor": str(2**64)},
        {"day": "2023-13-01"},
        {"day": "../.."},
        {"kind": "page"},
        {"min_width": -1},
        {"q": "x" * 1001},
    ],
)
def test_wrong_parameters_are_named(rig: GalleryRig, wanted: dict[str, Any]) -> None:
    answer = rig.get(GALLERY, params=wanted)
    assert answer.status_code == 422
    assert answer.json()["details"][0]["field"] == f"query.{next(iter(wanted))}"


@pytest.mark.parametrize(
    "name", ["..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "A" * 64, "0" * 63, f"{'0' * 64}.png", "%00"]
)
def test_an_id_is_a_hash_and_leads_nowhere_else(rig: GalleryRig, name: str) -> None:
    for below in ("", "/file", "/thumbnail"):
        session = requests.Request("GET", "http://x/").prepare()
        session.url = f"{rig.server.url}{GALLERY}/{name}{below}"
        session.headers["X-API-Key"] = KEY
        answer = rig.session.send(session, timeout=10)
        assert answer.status_code in (404, 422), (name, below)
        assert b"root:" not in answer.content


def test_the_file_with_ranges_and_tags(rig: GalleryRig) -> None:
    item = rig.listed(q="number3 id-3")[0]
    path, content = f"{GALLERY}/{item['id']}/file", picture(4, (200, 300))
    whole = rig.get(path)
    assert whole.content == content and whole.headers["ETag"] == f'"{item["id"]}"'
    assert 'filename="3.png"' in whole.headers["Content-Disposition"]
    part = rig.get(path, headers={"Range": "bytes=10-19"})
    assert part.status_code == 206 and part.content == content[10:20]
    assert rig.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    assert rig.get(path, headers={"Range": "bytes=99999999-"}).status_code == 416
    head = rig.request("HEAD", path)
    assert head.headers["Content-Length"] == str(len(content)) and head.content == b""


def test_thumbnails_are_made_once_and_kept(rig: GalleryRig) -> None:
    item = rig.listed(q="number5 id-5")[0]
    path = f"{GALLERY}/{item['id']}/thumbnail"
    small = rig.get(path, params={"side": 100})
    with Image.open(io.BytesIO(small.content)) as shown:
        assert (shown.format, max(shown.size)) == ("WEBP", 128)
    kept = list((rig.root / ".gallery/thumbnails").rglob(f"{item['id']}-128.webp"))
    assert len(kept) == 1
    marked = b"the one on the disk"
    kept[0].write_bytes(marked)
    assert rig.get(path, params={"side": 128}).content == marked
    kept[0].write_bytes(small.content)
    assert rig.get(path, headers={"If-None-Match": rig.get(path).headers["ETag"]}).status_code == 304
    assert max(Image.open(io.BytesIO(rig.get(path, params={"side": 1024}).content)).size) == 300
    assert rig.get(path, params={"side": 15}).status_code == rig.get(path, params={"side": 1025}).status_code == 422


def test_a_video_has_no_thumbnail(rig: GalleryRig) -> None:
    item = rig.listed(kind="video")[0]
    assert item["thumbnail_url"] is None and item["width"] is None
    assert rig.get(f"{GALLERY}/{item['id']}/thumbnail").status_code == 400


def test_a_deleted_one_is_hidden_at_once_comes_back_by_undo_and_goes_for_good(rig: GalleryRig) -> None:
    item = rig.kept(picture(0xBBBBBB), "gone.png", metadata={"note": "ephemeral"})
    path = f"{GALLERY}/{item['id']}"
    rig.get(f"{path}/thumbnail")
    deleted = rig.request("DELETE", path)
    assert deleted.status_code == 200 and deleted.json()["deleted_until"] == rig.clock.now + UNDO_S
    assert rig.listed(q="ephemeral") == [] and rig.get(path).status_code == rig.get(f"{path}/file").status_code == 404
    assert rig.get(path).json()["code"] == "GALLERY_ITEM_NOT_FOUND"
    assert rig.request("DELETE", path).status_code == 404

    rig.clock.tick(UNDO_S - 1)
    assert rig.gallery.purge() == deleted.json()["deleted_until"]
    back = rig.request("POST", f"{path}/undo")
    assert back.status_code == 200 and back.json()["deleted_until"] is None
    assert len(rig.listed(q="ephemeral")) == 1
    assert rig.request("POST", f"{path}/undo").status_code == 404

    rig.request("DELETE", path)
    rig.clock.tick(UNDO_S)
    assert rig.request("POST", f"{path}/undo").status_code == 404
    assert rig.gallery.purge() is None
    assert list(rig.root.rglob(f"{item['id']}*")) == []
    assert rig.request("POST", f"{path}/undo").status_code == 404


def test_what_is_sent_in_again_after_its_deletion_is_back(rig: GalleryRig) -> None:
    content = picture(0xCCCCCC)
    item = rig.kept(content, metadata={"note": "returned"})
    rig.request("DELETE", f"{GALLERY}/{item['id']}")
    assert rig.kept(content)["is_duplicate"]
    rig.clock.tick(UNDO_S + 1)
    rig.gallery.purge()
    assert len(rig.listed(q="returned")) == 1
    rig.request("DELETE", f"{GALLERY}/{item['id']}")


def test_without_a_key_nothing_opens(rig: GalleryRig) -> None:
    item = rig.listed()[0]
    for method, path in (
        ("GET", GALLERY),
        ("GET", f"{GALLERY}/days"),
        ("GET", f"{GALLERY}/{item['id']}"),
        ("DELETE", f"{GALLERY}/{item['id']}"),
        ("POST", f"{GALLERY}/{item['id']}/undo"),
        ("POST", "/api/comfy/ingest"),
    ):
        assert requests.request(method, rig.server.url + path, timeout=10).status_code == 401, path
