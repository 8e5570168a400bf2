"""The policy: which way each output goes, and what the result says when a way fails."""

import base64
import dataclasses
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.output_files import comfy_png, noise, output_file, picture

from api.errors import (
    DiskFull,
    InvalidInput,
    JobCancelled,
    OutputUnavailable,
    StorageUnreachable,
    WorkerError,
    WorkerStopping,
)
from api.ids import JobId
from api.jobs.cancel import CancelToken
from api.jobs.ports import Bucket, Delivered, DeliveredFile, OutputFile, OutputSink
from api.jobs.request import OutputOptions, S3Config
from api.outputs.delivery import Delivery
from api.outputs.handover import OUTPUT_LOST
from api.outputs.inline import InlineSink

JOB = JobId("job")
S3 = S3Config("https://minio/pics", "id", "secret")
DOWN = StorageUnreachable("The storage is down.")


class Sink:
    """Takes files, or fails for those it is told to."""

    def __init__(self, kind: str, fails: Callable[[OutputFile], WorkerError | None] = lambda _: None) -> None:
        self.kind = kind
        self.fails = fails
        self.taken: list[OutputFile] = []

    def put(self, job_id: JobId, file: OutputFile, cancel: CancelToken | None = None) -> Delivered:
        if error := self.fails(file):
            raise error
        self.taken.append(file)
        return Delivered(self.kind, f"{self.kind}://{job_id}/{file.filename}")


@pytest.fixture
def files(tmp_path: Path) -> list[OutputFile]:
    sizes = {"small.bin": 1_000, "middle.bin": 30_000, "large.bin": 60_000}
    return [
        output_file(noise(tmp_path / name, size, seed=size), node_id=str(place))
        for place, (name, size) in enumerate(sizes.items())
    ]


def deliver(
    files: list[OutputFile],
    *,
    s3: Bucket | None = None,
    disk: OutputSink | None = None,
    limit: int | None = None,
    s3_config: S3Config | None = None,
    factory: Any = None,
    **options: Any,
) -> tuple[list[DeliveredFile], list[Any]]:
    delivery = Delivery(inline=InlineSink(), s3=s3, s3_factory=factory, disk=disk, inline_limit_bytes=limit)
    workdir = files[0].path.parent if files else Path("/nowhere")
    entries, details = delivery.deliver(JOB, files, OutputOptions(**options), s3_config, workdir)
    if limit is not None:
        assert encoded(entries, details) <= limit
    return entries, details


def encoded(entries: list[DeliveredFile], details: list[Any]) -> int:
    """The result as it is posted, its findings told twice."""
    return len(json.dumps([[dataclasses.asdict(entry) for entry in entries], details, details], default=str))


def kinds(entries: list[DeliveredFile]) -> list[str]:
    return [entry.where.type for entry in entries]


def content(entry: DeliveredFile) -> bytes:
    return base64.b64decode(entry.where.data, validate=True)


def test_inline_without_s3(files: list[OutputFile]) -> None:
    entries, details = deliver(files)
    assert [content(entry) for entry in entries] == [file.path.read_bytes() for file in files]
    assert details == []


def test_s3_when_configured(files: list[OutputFile]) -> None:
    entries, details = deliver(files, s3=Sink("s3_url"))
    assert kinds(entries) == ["s3_url"] * 3
    assert [entry.file.filename for entry in entries] == [file.filename for file in files]
    assert details == []


def test_base64_on_request_although_s3_is_there(files: list[OutputFile]) -> None:
    bucket = Sink("s3_url")
    assert kinds(deliver(files, s3=bucket, delivery="base64")[0]) == ["base64"] * 3
    assert bucket.taken == []


def test_the_requests_own_bucket_wins(files: list[OutputFile]) -> None:
    theirs, asked = Sink("s3_url"), []
    entries, _ = deliver(files, s3=Sink("never"), s3_config=S3, factory=lambda config: asked.append(config) or theirs)
    assert asked == [S3]
    assert kinds(entries) == ["s3_url"] * 3


def test_check_before_the_run() -> None:
    bare = Delivery(inline=InlineSink())
    bare.check(OutputOptions(), None)
    with pytest.raises(InvalidInput, match="no S3"):
        bare.check(OutputOptions(delivery="s3"), None)
    with pytest.raises(InvalidInput, match="no s3Config"):
        bare.check(OutputOptions(), S3)
    Delivery(inline=InlineSink(), s3=Sink("s3_url")).check(OutputOptions(delivery="s3"), None)
    Delivery(inline=InlineSink(), s3_factory=lambda _: Sink("s3_url")).check(OutputOptions(delivery="s3"), S3)


def test_one_failing_upload_comes_inline_and_says_so(files: list[OutputFile]) -> None:
    bucket = Sink("s3_url", lambda file: DOWN if file.filename == "middle.bin" else None)
    entries, details = deliver(files, s3=bucket)
    assert kinds(entries) == ["s3_url", "base64", "s3_url"]
    assert content(entries[1]) == files[1].path.read_bytes()
    assert details == [
        {
            "node_id": "1",
            "code": "STORAGE_UNREACHABLE",
            "message": "The storage is down. middle.bin is in the result as base64 instead.",
        }
    ]


def test_failing_uploads_beyond_the_limit_go_to_disk(files: list[OutputFile]) -> None:
    entries, details = deliver(files, s3=Sink("s3_url", lambda _: DOWN), disk=Sink("file"), limit=70_000)
    assert kinds(entries) == ["base64", "base64", "file"]
    assert [detail["node_id"] for detail in details] == ["0", "1", "2"]
    assert "lies at file://job/large.bin" in details[2]["message"]
    assert "file://job/large.bin" in (entries[2].note or "")


def test_over_the_limit_the_biggest_goes_to_s3_first(files: list[OutputFile]) -> None:
    bucket = Sink("s3_url")
    entries, details = deliver(files, s3=bucket, delivery="base64", limit=70_000)
    assert kinds(entries) == ["base64", "base64", "s3_url"]
    assert "uploaded" in (entries[2].note or "")
    assert details == []


def test_over_the_limit_with_s3_failing_goes_to_disk_with_one_try(files: list[OutputFile]) -> None:
    tries: list[str] = []
    bucket = Sink("s3_url", lambda file: tries.append(file.filename) or DOWN)
    entries, _ = deliver(files, s3=bucket, disk=Sink("file"), delivery="base64", limit=70_000)
    assert kinds(entries) == ["base64", "base64", "file"]
    assert tries == ["large.bin"]


def test_a_picture_too_large_leaves_a_preview_and_where_it_lies(tmp_path: Path) -> None:
    file = output_file(comfy_png(tmp_path / "a.png", 400, 300))
    disk = Sink("file")
    entries, details = deliver([file], disk=disk, limit=60_000)
    (entry,) = entries
    assert (entry.where.type, entry.file.mime_type, entry.file.filename) == ("base64", "image/webp", "a.preview.webp")
    assert entry.width is not None
    assert 100 < entry.width <= 400
    assert entry.height == entry.width * 3 // 4
    assert content(entry).startswith(b"RIFF")
    assert entry.original and entry.original.where == Delivered("file", "file://job/a.png")
    assert str(file.size_bytes) in (entry.note or "")
    assert disk.taken[0].path == file.path
    assert details == []


def test_many_pictures_share_the_room(tmp_path: Path) -> None:
    files = [output_file(comfy_png(tmp_path / f"{n}.png", 200, 200), node_id=str(n), index=n) for n in range(4)]
    entries, _ = deliver(files, disk=Sink("file"), limit=60_000)
    assert kinds(entries) == ["base64"] * 4
    assert all(entry.original for entry in entries)


@pytest.mark.parametrize("disk", [None, Sink("file", lambda _: DiskFull("No space left."))])
def test_what_cannot_be_kept_is_told_and_shown(tmp_path: Path, disk: Sink | None) -> None:
    files = [output_file(comfy_png(tmp_path / "a.png", 400, 300)), output_file(noise(tmp_path / "v.mp4", 500_000))]
    entries, details = deliver(files, disk=disk, limit=60_000)
    assert [entry.file.filename for entry in entries] == ["a.preview.webp"]
    assert entries[0].original is None
    assert "could not be kept" in (entries[0].note or "")
    assert [("is lost" in detail["message"], detail["code"]) for detail in details] == [(True, OUTPUT_LOST)] * 2
    reason = "No space left" if disk else "OVERFLOW_DIR"
    assert all(reason in detail["message"] for detail in details)


def test_an_output_that_is_gone_is_an_error_and_the_others_arrive(files: list[OutputFile]) -> None:
    files[1].path.unlink()
    entries, details = deliver(files)
    assert [entry.file.filename for entry in entries] == ["small.bin", "large.bin"]
    assert details[0]["code"] == OUTPUT_LOST
    bucket = Sink("s3_url", lambda file: None if file.path.exists() else OutputUnavailable("gone from here"))
    entries, details = deliver(files, s3=bucket)
    assert kinds(entries) == ["s3_url"] * 2
    assert "middle.bin is not in the result" in details[-1]["message"]


@pytest.mark.parametrize("limit", [5_000, 20_000, 45_000, 50_000, 80_000, 90_000, 130_000, 200_000])
@pytest.mark.parametrize("s3_fails", [True, False])
def test_whatever_the_limit_every_file_is_accounted_for(files: list[OutputFile], limit: int, s3_fails: bool) -> None:
    bucket = Sink("s3_url", lambda _: DOWN if s3_fails else None)
    entries, details = deliver(files, s3=bucket, disk=Sink("file"), delivery="base64", limit=limit)
    assert [entry.file.node_id for entry in entries] == ["0", "1", "2"]
    assert s3_fails or not details


def test_reserved_room_counts(files: list[OutputFile]) -> None:
    delivery = Delivery(inline=InlineSink(), disk=Sink("file"))
    for reserved, expected in ((0, ["base64"] * 3), (60_000, ["base64", "base64", "file"])):
        entries, _ = delivery.deliver(JOB, files, OutputOptions(), None, files[0].path.parent, 140_000, reserved)
        assert kinds(entries) == expected


def test_the_stricter_limit_counts(files: list[OutputFile]) -> None:
    delivery = Delivery(inline=InlineSink(), disk=Sink("file"), inline_limit_bytes=70_000)
    for limit in (None, 1_000_000):
        entries, _ = delivery.deliver(JOB, files, OutputOptions(), None, files[0].path.parent, limit)
        assert kinds(entries) == ["base64", "base64", "file"]


def test_files_are_converted_on_the_way(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    entries, _ = deliver([output_file(tmp_path / "a.png")], s3=Sink("s3_url"), format="webp")
    assert entries[0].where.data == "s3_url://job/a.webp"
    assert (entries[0].file.mime_type, entries[0].width, entries[0].height) == ("image/webp", 32, 24)


def test_order_is_that_of_the_files_with_many_uploads(tmp_path: Path) -> None:
    files = [output_file(noise(tmp_path / f"{n}.bin", 100, seed=n), index=n) for n in range(30)]
    entries, _ = deliver(files, s3=Sink("s3_url", lambda file: DOWN if file.index % 3 == 0 else None))
    assert [entry.file.index for entry in entries] == list(range(30))


def test_a_hosts_sink_takes_what_would_be_inline(files: list[OutputFile]) -> None:
    host, bucket = Sink("output"), Sink("s3_url", lambda file: DOWN if file.filename == "middle.bin" else None)
    folder = files[0].path.parent
    entries, _ = Delivery(inline=InlineSink()).deliver(JOB, files, OutputOptions(), None, folder, inline=host)
    assert kinds(entries) == ["output"] * 3
    assert host.taken == files
    entries, details = Delivery(inline=InlineSink(), s3=bucket).deliver(
        JOB, files, OutputOptions(), None, folder, inline=host
    )
    assert kinds(entries) == ["s3_url", "output", "s3_url"]
    assert len(details) == 1


def test_a_hosts_full_disk_loses_no_output_but_ends_the_run(files: list[OutputFile]) -> None:
    host = Sink("output", lambda file: DiskFull("No space left.") if file.filename == "middle.bin" else None)
    with pytest.raises(DiskFull):
        Delivery(inline=InlineSink(), disk=Sink("file")).deliver(
            JOB, files, OutputOptions(), None, files[0].path.parent, inline=host
        )


def test_a_preview_goes_to_the_hosts_sink_as_well(tmp_path: Path) -> None:
    file, host = output_file(comfy_png(tmp_path / "a.png", 400, 300)), Sink("output")
    delivery = Delivery(inline=InlineSink(), disk=Sink("file"), inline_limit_bytes=60_000)
    (entry,), _ = delivery.deliver(JOB, [file], OutputOptions(), None, tmp_path, inline=host)
    assert (entry.where.type, entry.file.filename) == ("output", "a.preview.webp")
    assert entry.original


@pytest.mark.parametrize("delivery", ["base64", "s3"])
def test_a_cancel_ends_it_between_two_files(files: list[OutputFile], delivery: Any) -> None:
    cancel = CancelToken()

    def stop(file: OutputFile) -> None:
        cancel.cancel(WorkerStopping("The worker is being stopped."))

    sink = Sink("any", stop)
    with pytest.raises(WorkerStopping):
        Delivery(inline=InlineSink(), s3=sink).deliver(
            JOB, files * 5, OutputOptions(delivery=delivery), None, files[0].path.parent, inline=sink, cancel=cancel
        )
    assert 1 <= len(sink.taken) <= (1 if delivery == "base64" else 4)


def test_an_upload_that_cannot_be_cut_is_left_behind(files: list[OutputFile]) -> None:
    cancel, release, ended = CancelToken(), threading.Event(), threading.Event()

    def hang(file: OutputFile) -> None:
        cancel.cancel()
        release.wait(10)
        ended.set()

    try:
        with pytest.raises(JobCancelled):
            Delivery(inline=InlineSink(), s3=Sink("s3_url", hang)).deliver(
                JOB, files, OutputOptions(), None, files[0].path.parent, cancel=cancel
            )
        assert not ended.is_set()
    finally:
        release.set()


def test_nothing_to_deliver() -> None:
    assert deliver([]) == ([], [])
