"""JobService on a real database and spool: what is kept when a job is submitted, and what each state allows."""

import asyncio
import base64
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.job_rig import WORKFLOW, JobRig, job_rig
from support.sample_jobs import png

from api.errors import (
    InvalidInput,
    InvalidInputFile,
    JobNotFound,
    JobNotReady,
    KeyInFlight,
    KeyReused,
    QueueFull,
    StorageFull,
    StoreUnavailable,
    WorkerStopping,
)
from api.ids import JobId
from api.jobs.janitor import Janitor
from api.jobs.job import Status
from api.jobs.service import JobService
from api.jobs.store import Place
from api.jobs.submission import Submission
from api.jobs.updates import Kind

S3 = {"endpoint_url": "https://s3.example.com", "access_key_id": "AKIA", "secret_access_key": "s3-secret-key"}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[JobRig]:
    with job_rig(tmp_path, max_queued=5) as made:
        yield made


def finish(rig: JobRig, status: Status = Status.SUCCEEDED) -> None:
    claimed = rig.store.claim("worker")
    assert claimed is not None
    assert rig.store.finish(claimed.lease, status) is not None


def everything_written(rig: JobRig, tmp_path: Path) -> bytes:
    rig.store.compact()
    return b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_inline_files_become_files_of_the_spool(rig: JobRig) -> None:
    picture = png()
    images = [{"name": "a.png", "image": base64.b64encode(picture).decode()}, {"name": "b.png", "image": "https://x/b"}]
    job = rig.submit({"images": images})
    reopened = rig.intake.reopen(job.id)
    assert reopened is not None
    content, held = reopened
    first, second = content["input"]["images"]
    assert held[first["image"]].read_bytes() == picture
    assert (second["image"], len(held)) == ("https://x/b", 1)


def test_what_is_wrong_with_a_job_is_told_at_once_and_nothing_is_kept(rig: JobRig) -> None:
    with pytest.raises(InvalidInputFile, match=r"images\.0"):
        rig.submit({"images": [{"name": "a.png", "image": "not base64 at all!"}]})
    with pytest.raises(InvalidInput, match="workflow"):
        rig.service.submit(Submission({"input": {}}, "test"))
    assert rig.service.counts()[Status.QUEUED] == 0
    assert not [path for path in rig.spool.root.rglob("*") if path.is_file()]


def test_secrets_are_nowhere_on_the_disk_in_clear(rig: JobRig, tmp_path: Path) -> None:
    given = {
        "comfy_org_api_key": "comfy-secret",
        "s3": S3,
        "extra_data": {"api_key_comfy_org": "extra-secret", "auth_token_comfy_org": "token-secret"},
        "auth_token_comfy_org": "token-secret",
        "api_key_comfyorg": "slip-secret",
        "client_id": "",
    }
    job = rig.submit(given, webhook="https://hook.example.com/?token=hush")
    written = everything_written(rig, tmp_path)
    secrets = (b"comfy-secret", b"s3-secret-key", b"hush", b"extra-secret", b"token-secret", b"slip-secret")
    assert not [secret for secret in secrets if secret in written]
    reopened = rig.intake.reopen(job.id)
    # The names of what is no field are kept, for what is to be said about them.
    unread = dict.fromkeys(("extra_data", "auth_token_comfy_org", "api_key_comfyorg", "client_id"))
    assert reopened is not None and reopened[0]["input"] == {"workflow": WORKFLOW, **given, **unread}
    assert rig.service.request(job.id) == {"workflow": WORKFLOW}


def test_what_is_no_field_of_an_image_or_the_policy_is_not_kept(rig: JobRig, tmp_path: Path) -> None:
    image = {"name": "a.png", "image": "https://x/b", "token": "image-secret"}
    job = rig.service.submit(
        Submission(
            {
                "input": {"workflow": WORKFLOW, "images": [image]},
                "policy": {"executionTimeout": 60_000, "token": "policy-secret"},
            },
            "test",
        )
    ).job
    assert b"-secret" not in everything_written(rig, tmp_path)
    reopened = rig.intake.reopen(job.id)
    assert reopened is not None and reopened[0]["policy"] == {"executionTimeout": 60_000, "token": None}
    assert rig.service.request(job.id)["images"] == [{"name": "a.png", "image": "https://x/b", "token": None}]


def test_a_file_the_caller_claims_to_be_held_is_not(rig: JobRig) -> None:
    with pytest.raises(InvalidInputFile):
        rig.submit({"images": [{"name": "a.png", "image": "held:0"}]})


def test_a_full_queue_is_told_with_a_time_to_try_again(rig: JobRig) -> None:
    for _ in range(5):
        rig.submit()
    with pytest.raises(QueueFull) as refused:
        rig.submit()
    assert refused.value.retry_after_s
    assert rig.service.counts()[Status.QUEUED] == 5


def test_a_disk_nearly_full_takes_no_new_job(tmp_path: Path) -> None:
    with job_rig(tmp_path, min_free_bytes=10**18) as rig:
        with pytest.raises(StorageFull) as refused:
            rig.submit()
        assert refused.value.retry_after_s and rig.service.counts()[Status.QUEUED] == 0


def test_a_job_that_would_use_the_reserve_up_is_not_taken(tmp_path: Path) -> None:
    reserve = shutil.disk_usage(tmp_path).free - 100_000_000
    with job_rig(tmp_path, min_free_bytes=reserve) as rig:
        assert rig.submit().status is Status.QUEUED
        with pytest.raises(StorageFull):
            rig.submit({"images": [{"name": "a.png", "image": "A" * 200_000_000}]})


def test_without_its_folder_no_job_is_taken(rig: JobRig) -> None:
    shutil.rmtree(rig.spool.root)
    with pytest.raises(StoreUnavailable):
        rig.submit()


def test_a_database_without_its_file_takes_no_job(rig: JobRig, tmp_path: Path) -> None:
    database = next(tmp_path.glob("*.db"))
    database.rename(tmp_path / "moved")
    with pytest.raises(StoreUnavailable):
        rig.submit()
    with pytest.raises(StoreUnavailable):
        rig.service.ping()
    shutil.copyfile(tmp_path / "moved", database)
    with pytest.raises(StoreUnavailable):
        rig.submit()


def test_after_stop_no_job_is_taken(rig: JobRig) -> None:
    rig.service.stop()
    with pytest.raises(WorkerStopping):
        rig.submit()


class TestIdempotency:
    def test_the_same_request_gets_the_same_job(self, rig: JobRig) -> None:
        first = rig.submit(idempotency_key="k", fingerprint="a")
        assert rig.submit(idempotency_key="k", fingerprint="a").id == first.id
        assert rig.service.counts()[Status.QUEUED] == 1

    def test_another_request_under_the_key_is_refused(self, rig: JobRig) -> None:
        rig.submit(idempotency_key="k", fingerprint="a")
        with pytest.raises(KeyReused):
            rig.submit(idempotency_key="k", fingerprint="b")

    def test_another_caller_has_keys_of_its_own(self, rig: JobRig) -> None:
        first = rig.submit(idempotency_key="k", fingerprint="a", caller="alice")
        assert rig.submit(idempotency_key="k", fingerprint="a", caller="bob").id != first.id

    def test_a_waiting_request_is_told_that_the_first_still_runs(self, rig: JobRig) -> None:
        rig.submit(idempotency_key="k", fingerprint="a", waits=True)
        with pytest.raises(KeyInFlight):
            rig.submit(idempotency_key="k", fingerprint="a", waits=True)

    def test_a_definite_refusal_frees_the_key(self, rig: JobRig) -> None:
        others = [rig.submit() for _ in range(5)]
        with pytest.raises(QueueFull):
            rig.submit(idempotency_key="k", fingerprint="a")
        rig.service.cancel(others[0].id)
        assert rig.submit(idempotency_key="k", fingerprint="a").status is Status.QUEUED


class TestLife:
    def test_a_waiting_job_is_cancelled_at_once(self, rig: JobRig) -> None:
        job = rig.submit()
        assert rig.service.cancel(job.id).status is Status.CANCELLED

    def test_an_ended_job_stays_as_it_is(self, rig: JobRig) -> None:
        job = rig.submit()
        finish(rig)
        assert rig.service.cancel(job.id).status is Status.SUCCEEDED

    @pytest.mark.parametrize("status", [Status.FAILED, Status.TIMED_OUT, Status.CANCELLED])
    def test_what_did_not_succeed_can_be_retried(self, rig: JobRig, status: Status) -> None:
        job = rig.submit()
        finish(rig, status)
        assert rig.service.retry(job.id).status is Status.QUEUED

    def test_what_succeeded_or_waits_can_not(self, rig: JobRig) -> None:
        job = rig.submit()
        with pytest.raises(JobNotReady):
            rig.service.retry(job.id)
        finish(rig)
        with pytest.raises(JobNotReady):
            rig.service.retry(job.id)

    def test_only_an_ended_job_is_deleted_and_its_files_go_along(self, rig: JobRig) -> None:
        job = rig.submit()
        with pytest.raises(JobNotReady, match="cancel it first"):
            rig.service.delete(job.id)
        rig.service.cancel(job.id)
        rig.service.delete(job.id)
        assert not rig.spool.folder(job.id).exists()
        with pytest.raises(JobNotFound):
            rig.service.get(job.id)

    def test_cleanup_forgets_old_ended_jobs_with_their_files_and_no_others(self, rig: JobRig) -> None:
        old, waiting = rig.submit(), rig.submit()
        finish(rig)
        rig.clock.tick(3600)
        assert rig.service.cleanup(7200) == 0
        assert rig.service.cleanup(1800) == 1
        assert not rig.spool.folder(old.id).exists()
        assert rig.spool.folder(waiting.id).exists()

    def test_unknown_jobs_are_not_found(self, rig: JobRig) -> None:
        for method in (rig.service.get, rig.service.cancel, rig.service.retry, rig.service.delete, rig.service.why):
            with pytest.raises(JobNotFound):
                method(JobId("nobody"))


class TestWhy:
    def test_the_place_in_line(self, rig: JobRig) -> None:
        jobs = [rig.submit() for _ in range(3)]
        assert [rig.service.why(job.id) for job in jobs] == [
            "It is next in line.",
            "1 job is ahead of it.",
            "2 jobs are ahead of it.",
        ]
        rig.service.move(jobs[2].id, Place.FIRST)
        assert rig.service.why(jobs[2].id) == "It is next in line."

    def test_what_has_begun_before_it(self, rig: JobRig) -> None:
        first, second = rig.submit(), rig.submit()
        assert rig.store.claim("worker") is not None
        assert rig.service.why(second.id) == "It is next in line; 1 job has begun, and one has to end."
        assert "0% done" in rig.service.why(first.id)

    def test_a_begun_job_with_something_in_its_way(self, tmp_path: Path) -> None:
        with job_rig(tmp_path, waits_for=lambda _job: "It is in the queue of ComfyUI.") as rig:
            job = rig.submit()
            rig.store.claim("worker")
            assert rig.service.why(job.id) == "It is in the queue of ComfyUI."

    def test_a_paused_queue(self, rig: JobRig) -> None:
        job = rig.submit()
        rig.service.pause()
        assert "paused" in rig.service.why(job.id)
        assert rig.store.claim("worker") is None
        rig.service.resume()
        assert rig.service.why(job.id) == "It is next in line."

    def test_no_comfyui(self, tmp_path: Path) -> None:
        with job_rig(tmp_path, waits_for=lambda _job: "No ComfyUI can take it: it is still starting.") as rig:
            assert "still starting" in rig.service.why(rig.submit().id)

    @pytest.mark.parametrize(("status", "words"), [(Status.SUCCEEDED, "succeeded"), (Status.TIMED_OUT, "timed out")])
    def test_a_job_that_does_not_wait(self, rig: JobRig, status: Status, words: str) -> None:
        job = rig.submit()
        finish(rig, status)
        assert words in rig.service.why(job.id)


class TestWaiting:
    def test_the_end_is_noticed_at_once(self, rig: JobRig) -> None:
        job = rig.submit()

        async def wait() -> Any:
            cancel = threading.Timer(0.1, rig.service.cancel, [job.id])
            cancel.start()
            return await asyncio.wait_for(rig.service.wait(job.id, 30), 5)

        assert asyncio.run(wait()).status is Status.CANCELLED

    def test_the_time_is_kept_to(self, rig: JobRig) -> None:
        job = rig.submit()
        assert asyncio.run(rig.service.wait(job.id, 0.05)).status is Status.QUEUED

    def test_an_end_nobody_told_of_is_noticed_too(self, rig: JobRig) -> None:
        job = rig.submit()

        async def wait() -> Any:
            threading.Timer(0.1, finish, [rig]).start()
            return await rig.service.wait(job.id, 30)

        assert asyncio.run(wait()).status is Status.SUCCEEDED


def test_the_end_is_told_once(rig: JobRig) -> None:
    told: list[Kind] = []
    rig.hub.listen(lambda update: told.append(update.kind))
    job = rig.submit()
    rig.service.cancel(job.id)
    rig.service.cancel(job.id)
    assert told == [Kind.QUEUED, Kind.FINISHED]


def test_everything_lasts_beyond_the_process(tmp_path: Path) -> None:
    with job_rig(tmp_path) as rig:
        job = rig.submit({"workflow": WORKFLOW})
    with job_rig(tmp_path) as rig:
        assert rig.status(job) is Status.QUEUED
        reopened = rig.intake.reopen(job.id)
        assert reopened is not None and reopened[0]["input"]["workflow"] == WORKFLOW
        assert isinstance(rig.service, JobService)


class TestJumpsOfTheClock:
    def janitor(self, rig: JobRig) -> Janitor:
        return Janitor(
            service=rig.service, spool=rig.spool, lost_after_s=60, keep_s=3600, interval_s=3600, clock=rig.clock
        )

    def test_a_machine_that_slept_takes_no_job_from_its_worker(self, rig: JobRig) -> None:
        janitor = self.janitor(rig)
        job = rig.submit()
        claimed = rig.store.claim("worker")
        assert claimed is not None
        rig.clock.tick(1000)
        janitor.look()
        assert rig.status(job) is Status.RUNNING
        rig.clock.tick(2)
        assert rig.store.heartbeat(claimed.lease) is not None
        for _ in range(20):
            rig.clock.tick(2)
            janitor.look()
        assert rig.status(job) is Status.RUNNING

    def test_a_worker_that_is_gone_all_the_same_loses_it_later(self, rig: JobRig) -> None:
        janitor = self.janitor(rig)
        job = rig.submit()
        assert rig.store.claim("worker") is not None
        rig.clock.tick(1000)
        for _ in range(40):
            janitor.look()
            rig.clock.tick(2)
        assert rig.status(job) is Status.QUEUED
