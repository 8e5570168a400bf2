"""What is left of a job in ComfyUI when it is over: nothing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.raw_server import RawServer, Reply, ok

from api.comfyui.client import ComfyClient
from api.pool.cleanup import Cleaner


@contextmanager
def cleaner(url: str, root: Path | None) -> Iterator[Cleaner]:
    client = ComfyClient(url, connect_timeout_s=1)
    made = Cleaner(client, root)
    try:
        yield made
    finally:
        made.close()
        client.close()


def filled(root: Path, folder: str) -> list[Path]:
    files = [root / kind / folder / "sub" / "a.png" for kind in ("input", "output")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x")
    return files


def test_history_entries_and_folders_of_the_job_go_and_others_stay(tmp_path: Path):
    ours, others = filled(tmp_path, "job-1"), filled(tmp_path, "job-2")
    with RawServer([Reply(ok(b""))]) as server, cleaner(server.url, tmp_path) as made:
        made.forget("job-1", ("a", "b"))
        made.settle()
        assert [json.loads(request.body) for request in server.requests] == [{"delete": ["a", "b"]}]
    assert not any(file.exists() for file in ours)
    assert all(file.exists() for file in others)


def test_a_comfyui_that_is_away_keeps_no_files(tmp_path: Path):
    files = filled(tmp_path, "job-1")
    with RawServer([]) as gone:
        url = gone.url
    with cleaner(url, tmp_path) as made:
        made.forget("job-1", ("a",))
    assert not any(file.exists() for file in files)


def test_files_of_a_comfyui_elsewhere_are_left_alone(tmp_path: Path):
    files = filled(tmp_path, "job-1")
    with RawServer([Reply(ok(b""))]) as server, cleaner(server.url, None) as made:
        made.forget("job-1", ())
        made.settle()
        assert server.requests == []
    assert all(file.exists() for file in files)
