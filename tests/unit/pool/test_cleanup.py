"""What a job leaves on ComfyUI's disk goes, and nothing else."""

import pytest

from api.pool.cleanup import Cleaner


@pytest.fixture
def root(tmp_path):
    for place in ("input/job-1/a.png", "output/job-1/b/c.png", "temp/p.png", "temp/sub/q.png", "output/x.png", "y.png"):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def left(root, previews):
    cleaner = Cleaner(None, root)
    cleaner.forget("job-1", (), previews)
    cleaner.close()
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_jobs_folders_and_previews_are_removed(root):
    assert left(root, ["p.png", "sub/q.png"]) == ["output/x.png", "y.png"]


def test_previews_lead_nowhere_else(root):
    (root / "temp" / "link").symlink_to(root / "output")
    wanted = ["output/x.png", "temp/p.png", "temp/sub/q.png", "y.png"]
    assert left(root, ["../y.png", str(root / "y.png"), "link/x.png", "sub", "none.png", ""]) == wanted
