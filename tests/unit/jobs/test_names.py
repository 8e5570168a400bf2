import pytest

from api.ids import JobId
from api.jobs.names import fault_of_name, folder_of, is_job_folder


@pytest.mark.parametrize(
    "name",
    [
        "a.png",
        "faces/a.png",
        "a/b/c/d.png",
        "clip",
        "grün ü.png",
        "Screenshot 2026-11-21 at 1.00.00\u202fPM.png",
        "a..b.png",
        ".hidden",
        "a" * 200,
        "[input] a.png",
    ],
)
def test_names_that_do(name):
    assert fault_of_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "/a.png",
        "//a.png",
        "a//b.png",
        "a/",
        "../a.png",
        "a/../../b.png",
        "./a.png",
        "..",
        "C:\\a.png",
        "C:/a.png",
        "c:a.png",
        "..\\a.png",
        "a\\b.png",
        "a\0.png",
        "a\nb.png",
        "a\u2028b.png",
        "a\ud800.png",
        "a.png [input]",
        "a.png [output]",
        "a.png[temp] ",
        "a" * 201,
        "ü" * 101,
        "/".join(["a" * 100] * 11),
    ],
)
def test_names_that_do_not(name):
    assert fault_of_name(name)


KEY = b"k" * 32
AWKWARD = ["", ".", "..", "a/b", "a_b/", "../../etc", "A", "a", "a ", "x" * 65, "x" * 66, "ü", "a..b", "a%b", "\ud800"]


@pytest.mark.parametrize("job_id", [*AWKWARD, "abc-1"])
def test_any_job_id_becomes_a_safe_folder(job_id):
    folder = folder_of(JobId(job_id), KEY)
    assert is_job_folder(folder)
    assert len(folder) == 36
    assert set(folder) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_folders_never_collide():
    assert len({folder_of(JobId(job_id), KEY) for job_id in AWKWARD}) == len(AWKWARD)


def test_a_folder_can_be_told_again_with_the_key_only():
    folder = folder_of(JobId("abc-1"), KEY)
    assert folder == folder_of(JobId("abc-1"), bytes(KEY))
    assert folder != folder_of(JobId("abc-1"), b"K" * 32)
    assert "abc-1" not in folder


@pytest.mark.parametrize("name", ["abc", "job-1", "job-" + "f" * 33, "job-" + "G" * 32, "job-" + "0" * 32 + "\n"])
def test_other_folders_are_not_taken_for_a_jobs(name):
    assert not is_job_folder(name)
