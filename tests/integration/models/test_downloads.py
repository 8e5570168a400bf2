"""Models fetched into their folders: gone on with, checked, and never anywhere else."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.management_rig import ManagementRig, management_rig
from support.s3_server import S3Server
from support.safetensors_files import whole
from support.scripted_site import Site, Visit, answer, drip, redirect, serving
from support.waiting import wait_for

from api import s3
from api.errors import InvalidInput
from api.models.downloads import Downloads, Wanted
from api.models.fetch import ModelFetcher
from api.models.folders import ModelFolders
from api.models.hashes import HashBook
from api.models.source import AllowedHosts, Sources

MODEL = whole(200_000)
SHA256 = hashlib.sha256(MODEL).hexdigest()
ENDED = {"completed", "failed", "cancelled"}


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture
def rig(tmp_path: Path, site: Site) -> Iterator[ManagementRig]:
    here = f"127.0.0.1:{site.port}"
    with management_rig(tmp_path, hosts=(here,), hub_url=f"http://{here}") as rig:
        yield rig


def url(site: Site, path: str = "/a.safetensors") -> str:
    return site.url(path, host="127.0.0.1")


def asked(rig: ManagementRig, address: str, **fields: Any) -> dict[str, Any]:
    answer = rig.post("/v1/comfyui/models/download", json={"url": address, "type": "loras", **fields})
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"].endswith(answer.json()["downloadId"])
    return dict(answer.json())


def ended(rig: ManagementRig, download: dict[str, Any]) -> dict[str, Any]:
    path = f"/v1/comfyui/models/download/{download['downloadId']}"
    return wait_for(lambda: (found := rig.get(path).json())["status"] in ENDED and found, "the end of the download")


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def ranged(content: bytes, etag: str = '"v1"', break_after: int | None = None) -> Callable[[Visit], None]:
    """A server that knows ranges; with `break_after` it hangs up after so many bytes."""

    def page(visit: Visit) -> None:
        start = 0
        if visit.headers.get("if-range") == etag and "range" in visit.headers:
            start = int(visit.headers["range"].removeprefix("bytes=").rstrip("-"))
        head = f"ETag: {etag}\r\nContent-Length: {len(content) - start}\r\n"
        if start:
            head += f"Content-Range: bytes {start}-{len(content) - 1}/{len(content)}\r\n"
        visit.send(f"HTTP/1.1 {'206 Partial' if start else '200 OK'}\r\n{head}\r\n".encode())
        visit.send(content[start : start + (break_after or len(content))])

    return page


def test_a_model_comes_into_its_folder_with_its_hash(rig: ManagementRig, site: Site) -> None:
    site.pages["/a.safetensors"] = answer(MODEL)
    download = asked(rig, url(site, "/a.safetensors?secret=s"), sha256=SHA256.upper())
    assert (download["type"], download["name"]) == ("loras", "a.safetensors")
    assert "secret" not in download["url"]
    done = ended(rig, download)
    assert (done["status"], done["progress"], done["hash"], done["error"]) == ("completed", 100, SHA256, None)
    assert (done["downloadedBytes"], done["totalBytes"]) == (len(MODEL), len(MODEL))
    assert done["completedAt"] >= done["createdAt"] > 1_600_000_000_000
    assert rig.get("/v1/comfyui/models", params={"type": "loras"}).json()["models"] == [
        {"name": "a.safetensors", "type": "loras", "size": len(MODEL), "hash": SHA256}
    ]
    assert leftovers(rig.models) == ["a.safetensors"]
    assert (rig.models / "loras" / "a.safetensors").read_bytes() == MODEL
    assert rig.get("/v1/comfyui/models/downloads").json()["downloads"] == [done]


def test_what_breaks_off_is_gone_on_with(rig: ManagementRig, site: Site) -> None:
    site.pages["/a.safetensors"] = ranged(MODEL, break_after=300_000)
    done = ended(rig, asked(rig, url(site), sha256=SHA256))
    assert done["status"] == "completed", done
    assert [visit.headers.get("range") for visit in site.visits] == [None, "bytes=300000-", "bytes=600000-"]


def test_the_next_request_goes_on_where_the_last_one_gave_up(rig: ManagementRig, site: Site) -> None:
    breaking, busy = ranged(MODEL, break_after=300_000), answer(b"", "503 Busy")
    site.pages["/a.safetensors"] = lambda visit: (breaking if visit.number == 0 else busy)(visit)
    first = asked(rig, url(site))
    assert ended(rig, first)["status"] == "failed"
    site.visits.clear()
    site.pages["/a.safetensors"] = ranged(MODEL)
    assert ended(rig, asked(rig, url(site), sha256=SHA256))["status"] == "completed"
    assert site.visits[0].headers["range"] == "bytes=300000-"


def test_a_file_that_has_changed_meanwhile_is_begun_anew(rig: ManagementRig, site: Site) -> None:
    old, new = whole(150_000), MODEL

    def page(visit: Visit) -> None:
        (ranged(old, '"v1"', 300_000) if visit.number == 0 else ranged(new, '"v2"'))(visit)

    site.pages["/a.safetensors"] = page
    assert ended(rig, asked(rig, url(site)))["hash"] == SHA256


def test_a_part_of_another_url_is_thrown_away(rig: ManagementRig, site: Site) -> None:
    site.pages["/old"] = ranged(b"x" * 900_000, break_after=10)
    first = asked(rig, url(site, "/old"), name="a.safetensors")
    wait_for(lambda: len(site.visits) >= 1, "the first part")
    rig.request("DELETE", f"/v1/comfyui/models/download/{first['downloadId']}")
    assert ended(rig, first)["status"] in {"cancelled", "failed"}
    site.pages["/a.safetensors"] = ranged(MODEL)
    assert ended(rig, asked(rig, url(site)))["hash"] == SHA256


@pytest.mark.parametrize(
    ("content", "fields", "reason"),
    [
        (MODEL, {"sha256": "0" * 64}, "not 0000"),
        (MODEL[:-1], {}, "not a whole safetensors"),
        (b"\0" * 100, {}, "not a whole safetensors"),
    ],
)
def test_what_is_not_right_is_not_kept(
    rig: ManagementRig, site: Site, content: bytes, fields: dict[str, str], reason: str
) -> None:
    site.pages["/a.safetensors"] = answer(content)
    done = ended(rig, asked(rig, url(site), **fields))
    assert done["status"] == "failed"
    assert reason in done["error"]
    assert leftovers(rig.models) == []


def test_a_web_page_is_no_model(rig: ManagementRig, site: Site) -> None:
    site.pages["/a.gguf"] = answer(b"<html>Log in</html>", Content_Type="text/html; charset=utf-8")
    assert "a web page" in ended(rig, asked(rig, url(site, "/a.gguf")))["error"]


def test_answers_that_say_no_are_told(rig: ManagementRig, site: Site) -> None:
    site.pages["/a.gguf"] = answer(b"", "401 Unauthorized")
    done = ended(rig, asked(rig, url(site, "/a.gguf?token=secret")))
    assert "HTTP 401" in done["error"] and "secret" not in done["error"]
    assert len(site.visits) == 1


def test_a_model_over_the_limit_is_refused_before_it_comes(rig: ManagementRig, site: Site) -> None:
    site.pages["/a.gguf"] = answer(b"", Content_Length="60000000")
    assert "MODEL_DOWNLOAD_MAX_GB" in ended(rig, asked(rig, url(site, "/a.gguf")))["error"]


def test_a_redirect_leads_to_allowed_hosts_only(rig: ManagementRig, site: Site) -> None:
    with serving() as other:
        other.pages["/a.gguf"] = answer(b"internal")
        site.pages["/a.gguf"] = redirect(other.url("/a.gguf", host="127.0.0.1"))
        done = ended(rig, asked(rig, url(site, "/a.gguf")))
        assert "MODEL_DOWNLOAD_HOSTS" in done["error"]
        assert other.visits == []


def test_the_hub_gets_the_token_and_the_hash_it_announces_counts(rig: ManagementRig, site: Site) -> None:
    site.pages["/org/repo/resolve/main/a.safetensors"] = answer(
        b"", "302 Found", Location="/cdn/a", X_Linked_Etag=f'"{"1" * 64}"'
    )
    site.pages["/cdn/a"] = answer(MODEL)
    done = ended(rig, asked(rig, "hf://org/repo/a.safetensors"))
    assert "not 1111" in done["error"]
    first, second = site.visits
    assert first.headers["authorization"] == "Bearer hub-token"
    assert "authorization" not in second.headers


@pytest.mark.parametrize(
    "name",
    [
        "../a.safetensors",
        "sub/../../a.safetensors",
        "/etc/a.safetensors",
        "C:a.safetensors",
        "a\\b.safetensors",
        ".a.safetensors",
        ".git/a.safetensors",
        "a/b/c/d/e.safetensors",
        "a.py",
        "a.safetensors.sh",
        "a",
        "a.ckpt",
        "x" * 300 + ".safetensors",
        "a\n.safetensors",
    ],
)
def test_names_that_lead_elsewhere_or_run_code_are_refused(rig: ManagementRig, site: Site, name: str) -> None:
    answer = rig.post("/v1/comfyui/models/download", json={"url": url(site), "type": "loras", "name": name})
    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "name")
    assert site.visits == []


def test_links_in_the_folder_lead_nowhere(rig: ManagementRig, site: Site, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (rig.models / "loras" / "link").symlink_to(outside)
    (rig.models / "loras" / "a.safetensors").symlink_to(outside / "a.safetensors")
    for name in ("link/b.safetensors", "a.safetensors"):
        body = {"url": url(site), "type": "loras", "name": name, "overwrite": True}
        assert rig.post("/v1/comfyui/models/download", json=body).status_code == 400
    assert list(outside.iterdir()) == []


def test_a_subfolder_is_made(rig: ManagementRig, site: Site) -> None:
    site.pages["/a.safetensors"] = answer(MODEL)
    assert ended(rig, asked(rig, url(site), name="sdxl/new/b.safetensors"))["status"] == "completed"
    assert (rig.models / "loras" / "sdxl" / "new" / "b.safetensors").is_file()


def test_what_is_there_is_replaced_only_when_asked(rig: ManagementRig, site: Site) -> None:
    site.pages["/a.safetensors"] = answer(MODEL)
    place = rig.models / "loras" / "a.safetensors"
    place.write_bytes(b"old")
    body = {"url": url(site), "type": "loras"}
    refused = rig.post("/v1/comfyui/models/download", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "MODEL_EXISTS")
    assert ended(rig, asked(rig, url(site), overwrite=True))["status"] == "completed"
    assert place.read_bytes() == MODEL


def test_a_model_that_is_on_its_way_is_not_begun_again(rig: ManagementRig, site: Site) -> None:
    site.pages["/a.safetensors"] = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x")
    download = asked(rig, url(site))
    body = {"url": url(site), "type": "loras"}
    assert rig.post("/v1/comfyui/models/download", json=body).status_code == 409
    path = f"/v1/comfyui/models/download/{download['downloadId']}"
    going = wait_for(lambda: (found := rig.get(path).json())["downloadedBytes"] and found, "the first bytes")
    assert (going["status"], going["totalBytes"]) == ("downloading", 1_000_000)
    assert rig.request("DELETE", path).status_code == 200
    assert ended(rig, download)["status"] == "cancelled"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"type": "nothing"}, 404),
        ({"type": "../loras"}, 404),
        ({"type": None}, 400),
        ({"url": ""}, 400),
        ({"sha256": "short"}, 400),
        ({"url": "http://169.254.169.254/latest/a.safetensors"}, 400),
        ({"overwrite": "perhaps"}, 400),
    ],
)
def test_requests_that_make_no_sense(rig: ManagementRig, site: Site, fields: dict[str, Any], status: int) -> None:
    body = {"url": url(site), "type": "loras", **fields}
    assert rig.post("/v1/comfyui/models/download", json=body).status_code == status
    assert rig.get("/v1/comfyui/models/download/unknown").status_code == 404


def test_a_worker_that_sees_no_models_makes_no_folders(tmp_path: Path) -> None:
    hosts = AllowedHosts(("127.0.0.1:1",))
    folders = ModelFolders([tmp_path / "comfyui" / "models"], {})
    sources, fetcher = Sources(hosts, "https://huggingface.co"), ModelFetcher(hosts, max_bytes=1)
    downloads = Downloads(sources, folders, fetcher, HashBook(tmp_path / "hashes.json"))
    with pytest.raises(InvalidInput, match="COMFY_ROOT"):
        downloads.start(Wanted("http://127.0.0.1:1/a.safetensors", "loras"))
    assert list(tmp_path.iterdir()) == []


def test_an_object_of_the_workers_bucket(tmp_path: Path) -> None:
    with S3Server() as server:
        server.create_bucket("models")
        server.client().put_object(Bucket="models", Key="loras/a b.safetensors", Body=MODEL)
        connection = s3.connect(f"{server.url}/models", "AKIATESTKEY", "test-secret-never-shown")
        hosts = AllowedHosts(())
        book = HashBook(tmp_path / "hashes.json")
        (tmp_path / "loras").mkdir()
        downloads = Downloads(
            Sources(hosts, "https://huggingface.co", presign_s3=lambda _bucket, key: connection.presigned_url(key, 60)),
            ModelFolders([tmp_path], {}),
            ModelFetcher(hosts, max_bytes=50_000_000),
            book,
        )
        begun = downloads.start(Wanted("s3://models/loras/a%20b.safetensors", "loras"))
        done = wait_for(lambda: (found := downloads.get(begun.id)).has_ended and found, "the end")
        assert (done.status, done.sha256, done.name) == ("completed", SHA256, "a b.safetensors"), done.error
        assert "X-Amz" not in done.url
