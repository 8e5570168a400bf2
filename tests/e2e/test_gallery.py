"""The gallery of a real worker: a picture that a ComfyUI made is listed, kept, found after a kill and reindexed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import sample_jobs
from support.api_worker import ApiWorker
from support.standin_process import StandinProcess
from support.waiting import wait_for

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
GALLERY = "/api/comfy/gallery"


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[ApiWorker]:
    environment = {"ROOT_DIR": str(tmp_path / "root"), "API_KEY": "sesame"}
    with StandinProcess() as standin, ApiWorker(tmp_path, standin.url, environment) as worker:
        worker.session.headers["X-API-Key"] = "sesame"
        yield worker


def test_from_a_job_to_the_gallery_and_through_a_kill(worker: ApiWorker, tmp_path: Path) -> None:
    job_id = worker.submit(sample_jobs.job(sample_jobs.flat(0x446688, 80)))
    worker.ended(job_id)
    item = wait_for(lambda: worker.get(GALLERY).json()["items"], "the output in the gallery")[0]
    assert (item["job_id"], item["source"], item["width"], item["kind"]) == (job_id, "generated", 80, "image")

    content = worker.session.get(worker.url + item["file_url"], headers={"X-API-Key": ""}, timeout=10).content
    # As from another machine: the picture alone, with the workflow that ComfyUI wrote into it.
    sent = worker.post("/api/comfy/ingest", files={"file": ("mine.png", content)}, data={"prompt_id": "elsewhere"})
    assert sent.status_code == 200 and sent.json()["is_duplicate"] and sent.json()["source"] == "ingested"
    stored = tmp_path / "root/generated/comfy" / sent.json()["path"]
    assert stored.read_bytes() == content

    worker.kill()
    worker.start()
    assert [each["id"] for each in worker.get(GALLERY, params={"q": "elsewhere"}).json()["items"]] == [item["id"]]
    sidecar = worker.get(f"{GALLERY}/{item['id']}").json()["sidecar"]
    assert sidecar["workflow"]["1"]["class_type"] == "EmptyImage" and sidecar["job_ids"] == [job_id]
    assert worker.get(f"{GALLERY}/{item['id']}/thumbnail").headers["Content-Type"] == "image/webp"

    done = subprocess.run(
        [sys.executable, "-m", "api", "gallery", "reindex"],
        cwd=ROOT,
        env={**os.environ, "ROOT_DIR": str(tmp_path / "root"), "SQLITE_DB_PATH": str(worker.database)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith("has 1 files.")
    assert len(worker.get(GALLERY).json()["items"]) == 1


def test_what_is_deleted_is_not_shown_any_more(worker: ApiWorker, tmp_path: Path) -> None:
    for end in ("/admin/job/{}", "/admin/cleanup?max_age_hours=0"):
        job_id = worker.submit(sample_jobs.job(sample_jobs.flat(0x112233 + len(end), 80)))
        worker.ended(job_id)
        item = wait_for(lambda: worker.get(GALLERY).json()["items"], "the output in the gallery")[0]
        call = worker.session.delete if "{}" in end else worker.session.post
        assert call(worker.url + end.format(job_id), timeout=10).ok
        wait_for(lambda item=item: worker.get(f"{GALLERY}/{item['id']}/file").status_code == 404, "it to be gone")
        assert not list((tmp_path / "root/generated/comfy").rglob("*.png"))
