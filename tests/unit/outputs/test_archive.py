"""The folder of kept outputs: by day and job, never over another output, and whole."""

from datetime import date
from pathlib import Path

import pytest

from api.errors import DeliveryFailed, InvalidSettings
from api.ids import JobId
from api.jobs.ports import OutputFile
from api.outputs.archive import Archive

JOB = JobId("job-1")


def output(folder: Path, content: bytes = b"pixels", name: str = "a.png", node_id: str = "9") -> OutputFile:
    path = folder / f"{node_id}-{len(content)}"
    path.write_bytes(content)
    return OutputFile(node_id, "images", 0, name, "", "output", False, path, "image/png", len(content), "ab")


def archive(folder: Path) -> Archive:
    return Archive(folder / "kept", today=lambda: date(2026, 1, 2))


def test_outputs_lie_by_day_and_job(tmp_path: Path) -> None:
    file = output(tmp_path)
    kept = Path(archive(tmp_path).put(JOB, file).data)
    assert kept.relative_to(tmp_path) == Path("kept/2026-01-02/job-1/a.png")
    file.path.unlink()
    assert kept.read_bytes() == b"pixels"
    assert kept.stat().st_mode & 0o044 == 0o044


def test_two_of_one_name_are_both_kept(tmp_path: Path) -> None:
    made = archive(tmp_path)
    places = {made.put(JOB, output(tmp_path, node_id=node_id)).data for node_id in ("9", "10")}
    assert len(places) == 2


def test_a_second_run_takes_the_place_of_the_first(tmp_path: Path) -> None:
    made = archive(tmp_path)
    first = made.put(JOB, output(tmp_path))
    again = made.put(JOB, output(tmp_path))
    second = made.put(JOB, output(tmp_path, b"other pixels"))
    assert first == again == second
    assert [each.name for each in Path(second.data).parent.iterdir()] == ["a.png"]
    assert Path(second.data).read_bytes() == b"other pixels"


def test_names_lead_nowhere_else(tmp_path: Path) -> None:
    kept = Path(archive(tmp_path).put(JobId("../../evil"), output(tmp_path, name="../../up.png")).data)
    assert kept.is_relative_to(tmp_path / "kept")


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file")
    with pytest.raises(InvalidSettings, match="OUTPUT_DIR"):
        archive(tmp_path)


def test_an_output_that_is_gone_is_told(tmp_path: Path) -> None:
    file = output(tmp_path)
    file.path.unlink()
    with pytest.raises(DeliveryFailed):
        archive(tmp_path).put(JOB, file)
