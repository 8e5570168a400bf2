"""What is left when a process is killed or somebody's hand was in the folder, and what becomes of it."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.gallery_rig import UNDO_S, cut_off_everywhere, of_comfyui, opened, picture
from support.job_stores import Clock

from api.errors import StoreUnavailable
from api.gallery.entry import Entry, Wanted
from api.gallery.gallery import Gallery
from api.gallery.given import Given
from api.gallery.words import query


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder where a sync costs nothing."""
    place = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=place if place.is_dir() else None) as folder:
        yield Path(folder)


def put(gallery: Gallery, content: bytes, **given: str) -> Entry:
    with gallery.begin() as incoming:
        incoming.write(content)
        return gallery.ingest(incoming, Given("made.png", **given)).entry


def listed(gallery: Gallery, asked: str = "") -> list[str]:
    return [entry.sha256 for entry in gallery.page(Wanted(query(asked)), 100)]


def files(root: Path) -> set[Path]:
    return {path for path in root.glob("2*/*") if path.is_file()}


def test_a_kill_at_any_moment_leaves_no_half_file_and_no_picture_without_its_sidecar(memory: Path) -> None:
    sha256 = hashlib.sha256(of_comfyui()).hexdigest()

    killed = cut_off_everywhere(memory)

    assert killed >= 20
    states: set[tuple[str, ...]] = set()
    for number in range(killed):
        root = memory / str(number)
        if not root.exists():
            continue
        for path in files(root):
            content = path.read_bytes()
            whole = json.loads(content) if path.suffix == ".json" else hashlib.sha256(content).hexdigest() == sha256
            assert whole, f"half a file after kill {number}: {path.name}"
        pictures = {path for path in files(root) if path.suffix == ".png"}
        assert all(Path(f"{path}.json").exists() for path in pictures), f"without a sidecar after kill {number}"
        gallery = opened(root)
        gallery.mend()
        after = files(root)
        assert {path.suffix for path in after} in ({".png", ".json"}, set()), number
        assert list((root / ".gallery/drafts").iterdir()) == []
        shown = listed(gallery, "lighthouse")
        deleted = any("deleted_until" in json.loads(path.read_bytes()) for path in after if path.suffix == ".json")
        assert shown == ([sha256] if pictures and not deleted else []), number
        states.add((*shown, *sorted(path.suffix for path in after)))
        gallery.close()
    # Killed before it was there, while it was shown, and when it was deleted.
    assert len(states) == 3


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gallery(tmp_path: Path, clock: Clock) -> Iterator[Gallery]:
    gallery = opened(tmp_path / "gallery", clock)
    yield gallery
    gallery.close()


def test_a_damaged_index_is_told_of_and_made_anew(gallery: Gallery, tmp_path: Path) -> None:
    first, second = put(gallery, of_comfyui()), put(gallery, picture(1), prompt_id="p-2")
    gallery.close()
    index = tmp_path / "gallery/.gallery/index.db"
    index.write_bytes(b"no database at all" * 1000)

    with pytest.raises(StoreUnavailable, match="made anew"):
        gallery.page(Wanted(), 10)
    assert gallery.needs_mending and gallery.is_indexing
    gallery.mend()

    assert set(listed(gallery)) == {first.sha256, second.sha256}
    assert listed(gallery, "p-2") == [second.sha256]
    assert not gallery.needs_mending and not gallery.is_indexing


def test_pages_overwritten_in_the_middle_are_found_too(gallery: Gallery, tmp_path: Path) -> None:
    kept = {put(gallery, picture(color)).sha256 for color in range(20)}
    gallery.close()
    index = tmp_path / "gallery/.gallery/index.db"
    content = bytearray(index.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    index.write_bytes(bytes(content))

    gallery.mend()

    assert set(listed(gallery)) == kept


def test_an_index_that_was_removed_under_way_is_made_anew(gallery: Gallery, tmp_path: Path) -> None:
    first = put(gallery, picture(1))
    for path in (tmp_path / "gallery/.gallery").glob("index.db*"):
        path.unlink()

    with pytest.raises(StoreUnavailable):
        put(gallery, picture(2))
    gallery.mend()

    # The second one was on the disk already when the index failed.
    assert len(listed(gallery)) == 2 and first.sha256 in listed(gallery)


def test_what_another_process_makes_anew_is_used_at_once(gallery: Gallery, tmp_path: Path) -> None:
    first = put(gallery, picture(1))
    other = opened(tmp_path / "gallery")
    assert other.reindex() == 1
    assert listed(gallery) == [first.sha256]
    second = put(gallery, picture(2))
    assert set(listed(other)) == {first.sha256, second.sha256}
    other.close()


def test_reindexing_gives_the_same_lists(gallery: Gallery, clock: Clock) -> None:
    put(gallery, of_comfyui())
    for color in range(5):
        clock.tick(0.001)
        put(gallery, picture(color), prompt_id=f"p-{color}")
    before = gallery.page(Wanted(), 100), gallery.facets(), gallery.days(Wanted())

    assert gallery.reindex() == 6

    assert (gallery.page(Wanted(), 100), gallery.facets(), gallery.days(Wanted())) == before


def test_what_came_in_by_hand_is_found_and_what_went_is_forgotten(gallery: Gallery, tmp_path: Path) -> None:
    gone, edited = put(gallery, picture(1)), put(gallery, picture(2))
    root = tmp_path / "gallery"
    content = of_comfyui("WEBP")
    sha256 = hashlib.sha256(content).hexdigest()
    day = root / "2020-02-29"
    day.mkdir()
    (day / f"{sha256}.webp").write_bytes(content)
    (day / f"{'0' * 64}.png").write_bytes(b"half of a picture")
    (day / "my own notes.txt").write_text("not of the gallery")
    (day / f"{'1' * 64}.png.json").write_text("{}")
    gallery.path(gone).unlink()
    sidecar = root / edited.day / f"{edited.sha256}.png.json"
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_bytes()), "metadata": {"note": "by hand"}}))

    gallery.mend()

    assert set(listed(gallery)) == {sha256, edited.sha256}
    assert listed(gallery, "hand") == [edited.sha256] and listed(gallery, "lighthouse") == [sha256]
    assert json.loads((day / f"{sha256}.webp.json").read_bytes())["workflow"]["6"]["inputs"]["text"]
    assert {path.name for path in day.iterdir()} == {f"{sha256}.webp", f"{sha256}.webp.json", "my own notes.txt"}
    assert not (root / gone.day / f"{gone.sha256}.png.json").exists()


def test_a_broken_sidecar_is_written_anew(gallery: Gallery) -> None:
    entry = put(gallery, of_comfyui())
    sidecar = gallery.path(entry).with_name(f"{entry.sha256}.png.json")
    sidecar.write_text('{"sha256": ')

    gallery.mend()

    assert json.loads(sidecar.read_bytes())["sha256"] == entry.sha256
    assert listed(gallery, "lighthouse") == [entry.sha256]


def test_drafts_of_the_dead_go_and_those_of_the_living_stay(gallery: Gallery, tmp_path: Path) -> None:
    drafts = tmp_path / "gallery/.gallery/drafts"
    (drafts / "left").write_bytes(b"half")
    with gallery.begin() as incoming:
        incoming.write(picture())
        gallery.mend()
        assert [path.name for path in drafts.iterdir()] == [incoming.path.name]
        gallery.ingest(incoming, Given())
    assert list(drafts.iterdir()) == []


def test_a_deletion_that_is_over_becomes_final_after_a_restart_too(tmp_path: Path) -> None:
    clock = Clock()
    gallery = opened(tmp_path / "gallery", clock)
    entry = put(gallery, picture(1))
    gallery.thumbnail(entry, 128)
    gallery.delete(entry.sha256)
    gallery.close()
    shutil.rmtree(tmp_path / "gallery/.gallery/locks")

    clock.tick(UNDO_S + 1)
    again = opened(tmp_path / "gallery", clock)
    again.mend()
    assert files(tmp_path / "gallery")
    assert again.purge() is None

    assert files(tmp_path / "gallery") == set()
    assert [path for path in (tmp_path / "gallery/.gallery/thumbnails").rglob("*") if path.is_file()] == []
    again.close()
