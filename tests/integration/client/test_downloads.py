"""Outputs end up in files, whole, whatever the connection does."""

import base64
import hashlib
import random
from pathlib import Path

import pytest
from support.fake_worker import Answer, FakeWorker

from api.client import Client, DownloadFailed, Job, Refused, Unreachable

JOB = "550e8400-e29b-41d4-a716-446655440000"
CONTENT = random.Random(1).randbytes(1_000_000)
PATH = f"/output/{JOB}/0"


def finished(**lists: object) -> Job:
    return Job.read({"job_id": JOB, "status": "completed", "result": lists})


def linked(**more: object) -> Job:
    digest = hashlib.sha256(CONTENT).hexdigest()
    entry = {"filename": "a.png", "type": "url", "data": PATH, "size_bytes": len(CONTENT), "sha256": digest, **more}
    return finished(images=[entry])


def test_links_are_followed(worker: FakeWorker, client: Client, tmp_path: Path):
    worker.serve_file(PATH, CONTENT)
    (path,) = client.download(linked(), tmp_path / "new" / "folder")
    assert (path.name, path.read_bytes() == CONTENT) == ("a.png", True)
    assert worker.asked("GET", PATH)[0].headers["authorization"] == "Bearer secret-key"


def test_another_jobs_files_stay(worker: FakeWorker, client: Client, tmp_path: Path):
    worker.serve_file(PATH, CONTENT)
    (tmp_path / "a.png").write_bytes(b"of an earlier job")
    for _ in range(2):  # the second time nothing new is there
        (path,) = client.download(linked(), tmp_path)
        assert (path.name, path.read_bytes() == CONTENT) == ("a-2.png", True)
    assert (tmp_path / "a.png").read_bytes() == b"of an earlier job"


def test_what_breaks_off_goes_on_from_there(worker: FakeWorker, client: Client, tmp_path: Path):
    worker.serve_file(PATH, CONTENT)
    worker.give("GET", PATH, Answer(cut_at=400_000), Answer(cut_at=300_000))
    (path,) = client.download(linked(), tmp_path)
    assert path.read_bytes() == CONTENT
    ranges = [asked.headers.get("range") for asked in worker.asked("GET", PATH)]
    assert ranges[0] is None
    assert all(part and part != "bytes=0-" for part in ranges[1:])
    assert [item.name for item in tmp_path.iterdir()] == ["a.png"]


def test_a_download_that_never_ends_well_leaves_no_file_that_looks_whole(
    worker: FakeWorker, client: Client, tmp_path: Path
):
    worker.serve_file(PATH, CONTENT)
    worker.give("GET", PATH, *[Answer(cut_at=1000)] * 10)
    with pytest.raises(Unreachable, match=r"a\.png broke off"):
        list(client.download(linked(), tmp_path))
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"size_bytes": 5}])
def test_an_output_is_what_was_announced_or_nothing(
    worker: FakeWorker, client: Client, tmp_path: Path, wrong: dict[str, object]
):
    worker.serve_file(PATH, CONTENT)
    with pytest.raises(DownloadFailed, match=r"a\.png"):
        list(client.download(linked(**wrong), tmp_path))
    assert not (tmp_path / "a.png").exists()


def test_an_output_that_is_gone_is_a_refusal(worker: FakeWorker, client: Client, tmp_path: Path):
    worker.answer("GET", PATH, 404, {"message": "It was deleted."})
    with pytest.raises(Refused, match="deleted"):
        list(client.download(linked(), tmp_path))


def test_every_kind_of_output_is_written(client: Client, tmp_path: Path):
    encoded = base64.b64encode(b"pixels").decode()
    job = finished(
        images=[
            {"filename": "a.png", "type": "base64", "data": encoded},
            {"filename": "a.png", "type": "base64", "data": f"data:image/png;base64,{encoded}"},
        ],
        audio=[{"filename": "b.mp3", "type": "base64", "data": encoded}],
        text=[{"filename": "3_text_0.txt", "type": "text", "data": "ein Wort: ü"}],
        details=[{"message": "not an output"}],
    )
    paths = list(client.download(job, tmp_path))
    assert [path.name for path in paths] == ["a.png", "a-2.png", "b.mp3", "3_text_0.txt"]
    assert [path.read_bytes() for path in paths[:3]] == [b"pixels"] * 3
    assert paths[3].read_text(encoding="utf-8") == "ein Wort: ü"


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/evil.png", "..\\evil.png", "..", "", "a\0b/evil.png"])
def test_no_name_leads_out_of_the_folder(client: Client, tmp_path: Path, name: str):
    job = finished(images=[{"filename": name, "type": "text", "data": "x"}])
    (path,) = client.download(job, tmp_path / "out")
    assert path.parent == tmp_path / "out"
    assert [item.name for item in tmp_path.iterdir()] == ["out"]


def test_a_job_without_result_has_nothing_to_fetch(client: Client, tmp_path: Path):
    with pytest.raises(DownloadFailed, match="is failed"):
        list(client.download(Job.read({"job_id": JOB, "status": "failed", "error": "x"}), tmp_path))
