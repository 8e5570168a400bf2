import pytest

from api.ids import JobId
from api.jobs.names import fault_of_name, folder_of


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


@pytest.mark.parametrize("job_id", ["abc-1", "b1f0e4c2-7d1a-4f0e-9f55-0123456789ab-e1", "sync-1_2.x"])
def test_harmless_job_ids_are_their_folder(job_id):
    assert folder_of(JobId(job_id)) == job_id


AWKWARD = ["", ".", "..", "a/b", "a_b/", "../../etc", "A", "a", "a ", "x" * 65, "x" * 66, "ü", "a..b", "a%b", "\ud800"]


@pytest.mark.parametrize("job_id", AWKWARD)
def test_other_job_ids_become_safe_folders(job_id):
    folder = folder_of(JobId(job_id))
    assert 0 < len(folder) <= 64
    assert set(folder) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-~")
    assert ".." not in folder
    assert folder[0].isalnum()


def test_folders_never_collide():
    folders = [folder_of(JobId(job_id)) for job_id in AWKWARD]
    # What another id was made into is no way to get at its folder.
    folders += [folder_of(JobId(folder)) for folder in folders if "~" in folder]
    assert len(set(folders)) == len(folders)
