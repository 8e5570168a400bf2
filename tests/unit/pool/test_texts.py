"""Texts of a run: what stands in the result, what becomes a file, and where both end."""

import hashlib
import tracemalloc
from pathlib import Path

import pytest

from api.errors import DiskFull
from api.jobs.ports import OutputText
from api.pool.texts import TextLimits, Texts

LIMITS = TextLimits(inline=10, inline_total=25, inline_count=4, file=50, files_total=80, file_count=3)


def sorted_texts(tmp_path: Path, *texts: str, limits: TextLimits = LIMITS) -> Texts:
    return Texts([OutputText("7:1", "text", at, text, False) for at, text in enumerate(texts)], tmp_path, limits)


def contents(texts: Texts) -> list[str]:
    return [file.path.read_text("utf-8") for file in texts.files]


def test_short_texts_stay_and_long_ones_become_files(tmp_path):
    texts = sorted_texts(tmp_path, "short", "ü" * 11)
    assert [text.text for text in texts.inline] == ["short"]
    (file,) = texts.files
    assert (file.filename, file.mime_type, file.node_id) == ("7_1_text_1.txt", "text/plain", "7:1")
    assert file.path.read_bytes() == "ü".encode() * 11
    assert (file.size_bytes, file.sha256) == (22, hashlib.sha256("ü".encode() * 11).hexdigest())
    assert texts.warnings == []


def test_many_short_texts_do_not_fill_the_result(tmp_path):
    texts = sorted_texts(tmp_path, "a" * 10, "b" * 10, "c" * 10, "d" * 5)
    assert [text.text for text in texts.inline] == ["a" * 10, "b" * 10, "d" * 5]
    assert contents(texts) == ["c" * 10]


def test_a_file_ends_at_the_limit_and_says_so(tmp_path):
    texts = sorted_texts(tmp_path, "x" * 51)
    assert contents(texts) == ["x" * 50]
    assert [(item["node_id"], item["code"]) for item in texts.warnings] == [("7:1", "text_cut")]
    assert "51 characters; its file ends at 50" in texts.warnings[0]["message"]


def test_all_files_together_end_too_and_what_is_lost_is_told(tmp_path):
    texts = sorted_texts(tmp_path, "x" * 50, "y" * 50, "z" * 50)
    assert contents(texts) == ["x" * 50, "y" * 30]
    assert [item["code"] for item in texts.warnings] == ["text_cut", "texts_left_out"]
    assert "1 of them" in texts.warnings[1]["message"]


def test_the_number_of_texts_is_bounded(tmp_path):
    texts = sorted_texts(tmp_path, *"abcdefghij")
    assert (len(texts.inline), len(texts.files)) == (4, 3)
    assert "3 of them" in texts.warnings[0]["message"]


def test_broken_text_is_written_all_the_same(tmp_path):
    assert contents(sorted_texts(tmp_path, "\ud800" * 11)) == ["?" * 11]


def test_a_huge_text_is_not_copied(tmp_path):
    text = "x" * 100_000_000
    tracemalloc.start()
    texts = sorted_texts(tmp_path, text, limits=TextLimits())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert texts.files[0].size_bytes == TextLimits().file
    assert peak < 20_000_000


def test_a_full_disk(tmp_path):
    (tmp_path / "text-0").symlink_to("/dev/full")
    with pytest.raises(DiskFull):
        sorted_texts(tmp_path, "x" * 11)
