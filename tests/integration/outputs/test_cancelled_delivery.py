"""A job that is cancelled while its outputs travel: it ends at once, and leaves no thread, socket or half upload."""

import socket
import threading
import time
from pathlib import Path

import pytest
from support.output_files import comfy_png, noise, output_file
from support.s3_server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, S3Server
from support.scripted_site import drip, serving
from support.waiting import wait_for

from api.errors import JobCancelled, WorkerStopping
from api.ids import JobId
from api.jobs.cancel import CancelToken
from api.jobs.ports import OutputFile
from api.jobs.request import OutputOptions
from api.outputs.delivery import Delivery
from api.outputs.inline import InlineSink
from api.outputs.s3 import S3Sink
from api.s3 import connect

JOB = JobId("job-1")


class Courier:
    """One delivery in a thread of its own, as a job's, and how it ended."""

    def __init__(self, url: str, files: list[OutputFile], retry_limit_s: float = 30) -> None:
        connection = connect(f"{url}/outputs", ACCESS_KEY_ID, SECRET_ACCESS_KEY)
        self._delivery = Delivery(inline=InlineSink(), s3=S3Sink(connection, retry_limit_s=retry_limit_s))
        self._files = files
        self.cancel = CancelToken()
        self.ended: Exception | None = None
        self._thread = threading.Thread(target=self._deliver)
        self._thread.start()

    def _deliver(self) -> None:
        try:
            self._delivery.deliver(
                JOB, self._files, OutputOptions(), None, self._files[0].path.parent, cancel=self.cancel
            )
        except (JobCancelled, WorkerStopping) as error:
            self.ended = error

    def stop(self, reason: WorkerStopping | None = None) -> float:
        """Cancel; the seconds until the delivery has ended, and nothing of it is left."""
        started = time.monotonic()
        self.cancel.cancel(reason)
        self.finish()
        took_s = time.monotonic() - started
        wait_for(lambda: not threads(), "the threads of the uploads end", timeout_s=4)
        return took_s

    def finish(self) -> None:
        """Wait until the delivery has ended."""
        self._thread.join(20)
        assert not self._thread.is_alive()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "upload" in thread.name]


@pytest.fixture
def pictures(tmp_path: Path) -> list[OutputFile]:
    return [output_file(comfy_png(tmp_path / f"{n}.png", 20, 20), index=n) for n in range(6)]


def test_a_held_upload_is_cut(server: S3Server, pictures: list[OutputFile]) -> None:
    server.hold()
    courier = Courier(server.url, pictures)
    assert server.held.wait(10)
    assert courier.stop() < 1
    assert isinstance(courier.ended, JobCancelled)


def test_the_reason_of_the_cancel_is_what_the_job_ends_with(server: S3Server, pictures: list[OutputFile]) -> None:
    server.hold()
    courier = Courier(server.url, pictures)
    assert server.held.wait(10)
    reason = WorkerStopping("The worker is being stopped.")
    assert courier.stop(reason) < 1
    assert courier.ended is reason


def test_a_video_cut_on_its_way_leaves_no_half_upload(server: S3Server, tmp_path: Path) -> None:
    server.hold("PUT")
    courier = Courier(server.url, [output_file(noise(tmp_path / "clip.mp4", 20 << 20), mime_type="video/mp4")])
    assert server.held.wait(10)
    assert server.half_uploads() == ["job-1/clip.mp4"]
    assert courier.stop() < 1
    wait_for(lambda: not server.half_uploads(), "the half upload is aborted")
    left = server.keys()
    assert not [key for key in left if key.endswith("clip.mp4")]


def test_repeats_during_an_outage_end(server: S3Server, pictures: list[OutputFile]) -> None:
    server.go_down()
    courier = Courier(server.url, pictures)
    wait_for(lambda: len(server.requests) > 4, "it is tried again")
    assert courier.stop() < 1
    assert isinstance(courier.ended, JobCancelled)


def test_an_answer_that_drips_for_ever_is_cut(pictures: list[OutputFile]) -> None:
    with serving() as site:
        for picture in pictures:
            site.pages[f"/outputs/job-1/{picture.filename}"] = drip(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" "
            )
        courier = Courier(site.url("", "127.0.0.1"), pictures)
        wait_for(lambda: site.visits, "the upload is answered")
        assert courier.stop() < 1


def test_a_tls_handshake_that_is_not_answered_is_cut(pictures: list[OutputFile]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        courier = Courier(f"https://127.0.0.1:{listener.getsockname()[1]}", pictures)
        client, _ = listener.accept()
        with client:
            assert client.recv(5)[:1] == b"\x16", "the client's hello"
            assert courier.stop() < 1


def test_connections_that_were_not_cut_serve_the_next_job(server: S3Server, pictures: list[OutputFile]) -> None:
    """A cancel that comes when its own uploads are done must not shut what another job uses by then."""
    first = Courier(server.url, pictures)
    first.finish()
    server.hold()
    second = Courier(server.url, pictures)
    assert server.held.wait(10)
    first.cancel.cancel()
    server.release()
    second.finish()
    assert {seen.status for seen in server.requests} == {200}
