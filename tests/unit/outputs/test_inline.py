"""The base64 sink: same text as base64 itself, neither the file nor more copies beside it."""

import base64
import tracemalloc
from pathlib import Path

import pytest
from support.output_files import noise, output_file

from api.errors import OutputUnavailable
from api.ids import JobId
from api.outputs.inline import InlineSink, encoded_bytes

JOB = JobId("job")
CHUNK = 3 * 256 * 1024


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 2, 2 * CHUNK])
def test_pieces_join_to_plain_base64(tmp_path: Path, size: int) -> None:
    file = output_file(noise(tmp_path / "x", size))
    delivered = InlineSink().put(JOB, file)
    assert delivered.type == "base64"
    assert delivered.data == base64.b64encode(file.path.read_bytes()).decode()
    assert len(delivered.data) == encoded_bytes(size)


def test_peak_memory_is_the_text_and_its_pieces(tmp_path: Path) -> None:
    file = output_file(noise(tmp_path / "x", 16 << 20))
    tracemalloc.start()
    try:
        text = InlineSink().put(JOB, file).data
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.1 * len(text)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputUnavailable, match=r"gone\.png"):
        InlineSink().put(JOB, output_file(tmp_path / "gone.png"))
