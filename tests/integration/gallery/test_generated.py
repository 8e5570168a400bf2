"""Outputs of jobs in the gallery: they come by themselves, go with their jobs, and stay when somebody keeps them."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.api_rig import ApiRig, api_rig
from support.gallery_rig import opened, picture
from support.job_rig import JobRig
from support.waiting import wait_for

from api.errors import StoreUnavailable
from api.gallery.caretaker import Caretaker
from api.gallery.entry import Entry, Wanted
from api.gallery.gallery import Gallery
from api.gallery.given import Given
from api.gallery.words import query
from api.jobs.ports import OutputFile
from api.outputs.archive import Archive


@contextmanager
def caring(gallery: Gallery, jobs: JobRig, noted: Path | None, **options: Any) -> Iterator[Caretaker]:
    values = {"lasting": False, "interval_s": 3600.0} | options
    caretaker = Caretaker(gallery, jobs.service, noted=noted, **values)
    jobs.service.on_end(caretaker.note_end)
    caretaker.start()
    try:
        yield caretaker
    finally:
        caretaker.stop()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiRig]:
    with api_rig(tmp_path / "worker") as rig:
        rig.core.pixels = picture(7)
        yield rig


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    gallery = opened(tmp_path / "worker/files/generated/comfy")
    yield gallery
    gallery.close()


def shown(gallery: Gallery, asked: str = "") -> list[Entry]:
    return gallery.page(Wanted(query(asked)), 100)


def test_an_output_comes_by_itself_and_costs_no_space(api: ApiRig, gallery: Gallery, tmp_path: Path) -> None:
    with caring(gallery, api.jobs, tmp_path / "noted.json"):
        job_id = api.ended(api.run(labels={"project": "lighthouse"}))
        entry = wait_for(lambda: shown(gallery), "the output")[0]

    job = api.jobs.service.get(job_id)  # type: ignore[arg-type]
    output = api.jobs.service.output(job.id, 0)
    # The id that /api/comfy/status knows it by.
    assert (entry.prompt_id, entry.job_id) == (job_id, job_id)
    assert (entry.filename, entry.source) == ("a b.png", "generated")
    assert gallery.path(entry).samefile(output.path)
    sidecar = gallery.sidecar(entry)
    assert sidecar.workflow and sidecar.workflow["1"]["class_type"] == "picture" and not sidecar.lasting
    assert [each.sha256 for each in shown(gallery, "lighthouse")] == [entry.sha256]


def test_it_goes_with_its_job_unless_it_is_kept(api: ApiRig, gallery: Gallery, tmp_path: Path) -> None:
    with caring(gallery, api.jobs, tmp_path / "noted.json", interval_s=0.01):
        first = api.ended(api.run())
        entry = wait_for(lambda: shown(gallery), "the output")[0]
        second = api.ended(api.run())
        wait_for(lambda: len(gallery.sidecar(entry).job_ids) == 2, "the second job to be noted at the same output")
        # Its content is that of both.
        api.jobs.service.delete(first)  # type: ignore[arg-type]
        other = picture(8)
        api.core.pixels = other
        kept = api.ended(api.run())
        wait_for(lambda: len(shown(gallery)) == 2, "the other output")
        with gallery.begin() as incoming:
            incoming.write(other)
            stored = gallery.ingest(incoming, Given("mine.png", metadata={"why": "beautiful"}))
        assert stored.is_duplicate and stored.entry.source == "ingested"

        for job_id in (second, kept):
            api.jobs.service.delete(job_id)  # type: ignore[arg-type]
        wait_for(lambda: len(shown(gallery)) == 1, "the output to go with the last of its jobs")
        assert [each.sha256 for each in shown(gallery, "beautiful")] == [stored.entry.sha256]


def test_it_may_be_told_to_stay_for_good(api: ApiRig, gallery: Gallery, tmp_path: Path) -> None:
    with caring(gallery, api.jobs, tmp_path / "noted.json", lasting=True):
        job_id = api.ended(api.run())
        wait_for(lambda: shown(gallery), "the output")
    api.jobs.service.delete(job_id)  # type: ignore[arg-type]
    assert gallery.passing(10) == []
    assert gallery.path(shown(gallery)[0]).read_bytes() == picture(7)


def test_what_ended_while_nobody_listened_is_found_at_the_next_start(
    api: ApiRig, gallery: Gallery, tmp_path: Path
) -> None:
    noted = tmp_path / "noted.json"
    with caring(gallery, api.jobs, noted):
        api.ended(api.run())
        wait_for(noted.exists, "the output to be noted")
    entry = shown(gallery)[0]
    gallery.delete(entry.sha256)
    gallery.undo(entry.sha256)
    api.jobs.clock.tick(10)
    api.core.pixels = picture(9)
    missed = Caretaker(gallery, api.jobs.service, noted=None, lasting=False, interval_s=3600)
    missed.note_end(api.jobs.service.get(api.ended(api.run())), None)  # type: ignore[arg-type]

    with caring(gallery, api.jobs, noted):
        wait_for(lambda: len(shown(gallery)) == 2, "the one that was missed")
        until = json.loads(noted.read_bytes())["taken_until"]
        assert until == pytest.approx(api.jobs.clock.now)


def test_switched_off_nothing_comes_by_itself(api: ApiRig, gallery: Gallery) -> None:
    with caring(gallery, api.jobs, None) as caretaker:
        job = api.jobs.service.get(api.ended(api.run()))  # type: ignore[arg-type]
        caretaker.take(job)
        assert len(shown(gallery)) == 1  # by hand it would
        gallery.delete(shown(gallery)[0].sha256)
        api.core.pixels = picture(9)
        api.ended(api.run())
    assert shown(gallery) == []


def test_an_output_that_went_elsewhere_comes_from_the_folder_of_outputs(
    api: ApiRig, gallery: Gallery, tmp_path: Path
) -> None:
    content = picture(11)
    digest = hashlib.sha256(content).hexdigest()
    entry = {"filename": "far.png", "type": "s3_url", "data": "https://s3.test/far.png", "sha256": digest}
    job = api.jobs.service.get(api.ended(api.run()))  # type: ignore[arg-type]
    result = {"images": [{**entry, "size_bytes": len(content), "mime_type": "image/png"}]}
    api.jobs.spool.keep_result(job.id, job.attempt, result)
    archive = Archive(tmp_path / "output", lambda: datetime.fromtimestamp(job.finished_at or 0, UTC).date())
    copied = tmp_path / "copied.png"
    copied.write_bytes(content)
    output = OutputFile("1", "images", 0, "far.png", "", "output", False, copied, "image/png", len(content), digest)
    path = Path(archive.put(job.id, output).data)

    for known, count in ((None, 0), (tmp_path / "output", 1)):
        Caretaker(gallery, api.jobs.service, noted=None, lasting=True, archive=known, interval_s=3600).take(job)
        assert len(shown(gallery)) == count
    assert gallery.path(shown(gallery)[0]).samefile(path)


def test_what_is_no_picture_video_or_sound_is_not_shown(api: ApiRig, gallery: Gallery, tmp_path: Path) -> None:
    api.core.pixels = b"just some text"
    noted = tmp_path / "noted.json"
    with caring(gallery, api.jobs, noted):
        api.ended(api.run())
        wait_for(noted.exists, "the job to be looked at")
    assert shown(gallery) == []


def test_a_deletion_is_final_in_its_time_by_itself(tmp_path: Path, api: ApiRig) -> None:
    clock_s = time.time()
    gallery = opened(tmp_path / "own", lambda: clock_s)
    with gallery.begin() as incoming:
        incoming.write(picture(1))
        entry = gallery.ingest(incoming, Given()).entry
    gallery.delete(entry.sha256)
    clock_s += 31
    with caring(gallery, api.jobs, None):
        wait_for(lambda: not gallery.path(entry).exists(), "its end")
    gallery.close()


def test_a_damaged_index_is_mended_by_itself(tmp_path: Path, api: ApiRig, gallery: Gallery) -> None:
    with gallery.begin() as incoming:
        incoming.write(picture(1))
        gallery.ingest(incoming, Given())
    gallery.close()
    (tmp_path / "worker/files/generated/comfy/.gallery/index.db").write_bytes(b"broken" * 5000)
    with caring(gallery, api.jobs, None):
        wait_for(lambda: not gallery.is_indexing and _count(gallery) == 1, "the index to be made anew")


def _count(gallery: Gallery) -> int:
    try:
        return len(shown(gallery))
    except StoreUnavailable:
        return -1
