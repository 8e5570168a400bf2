"""Previews for results without room for the picture."""

from pathlib import Path

import pytest
from PIL import Image
from support.output_files import comfy_apng, comfy_png, huge_png, noise, output_file, picture

from api.outputs.preview import smaller


def test_at_most_1024_pixels_and_a_name_that_says_so(tmp_path: Path) -> None:
    Image.radial_gradient("L").resize((3000, 1500)).save(tmp_path / "a.png")
    small = smaller(output_file(tmp_path / "a.png", mime_type="image/png"), 200_000, tmp_path)
    assert small is not None
    assert (small.filename, small.mime_type) == ("a.preview.webp", "image/webp")
    with Image.open(small.path) as image:
        assert image.size == (1024, 512)


@pytest.mark.parametrize("limit", [20_000, 600])
def test_gets_smaller_until_it_fits(tmp_path: Path, limit: int) -> None:
    picture(800, 600).save(tmp_path / "a.jpg")
    small = smaller(output_file(tmp_path / "a.jpg", mime_type="image/jpeg"), limit, tmp_path)
    if small is None:
        assert limit == 600
    else:
        assert small.size_bytes == small.path.stat().st_size <= limit


def test_small_pictures_are_not_blown_up(tmp_path: Path) -> None:
    small = smaller(output_file(comfy_png(tmp_path / "a.png"), mime_type="image/png"), 10_000, tmp_path)
    assert small is not None
    with Image.open(small.path) as image:
        assert image.size == (32, 24)
    assert b"secret" not in small.path.read_bytes()


def test_an_animation_shows_its_first_frame(tmp_path: Path) -> None:
    small = smaller(output_file(comfy_apng(tmp_path / "a.png"), mime_type="image/png"), 10_000, tmp_path)
    assert small is not None


def test_no_preview_of_what_is_no_picture_or_too_large_or_broken(tmp_path: Path) -> None:
    video = output_file(noise(tmp_path / "v.mp4", 100), mime_type="video/mp4")
    broken = output_file(noise(tmp_path / "b.png", 100), mime_type="image/png")
    huge = output_file(huge_png(tmp_path / "h.png"), mime_type="image/png")
    assert [smaller(file, 10_000, tmp_path) for file in (video, broken, huge)] == [None, None, None]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.png", "h.png", "v.mp4"]
