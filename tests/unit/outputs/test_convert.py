"""Conversion and stripping as a job asks for them."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image, ImageCms
from support.output_files import PROMPT, WORKFLOW, comfy_apng, comfy_exif, comfy_png, huge_png, output_file, picture

from api.jobs.request import OutputOptions
from api.outputs.convert import Prepared, prepare


def prepared(path: Path, name: str | None = None, **options: object) -> Prepared:
    before = path.read_bytes()
    result = prepare(output_file(path, name), OutputOptions(**options), path.parent)
    assert path.read_bytes() == before, "the original is never touched"
    assert result.file.size_bytes == result.file.path.stat().st_size
    return result


def opened(result: Prepared) -> Image.Image:
    image = Image.open(io.BytesIO(result.file.path.read_bytes()))
    image.load()
    return image


@pytest.mark.parametrize(
    ("target", "mime_type", "name"),
    [("jpeg", "image/jpeg", "a.b.jpg"), ("webp", "image/webp", "a.b.webp"), ("png", "image/png", "a.b.png")],
)
@pytest.mark.parametrize("source", ["png", "jpeg", "webp"])
def test_between_formats(tmp_path: Path, source: str, target: str, mime_type: str, name: str) -> None:
    picture(40, 30).save(tmp_path / "x", format=source)
    result = prepared(tmp_path / "x", f"a.b.{source}", format=target)
    assert result.file.mime_type == mime_type == result.facts.mime_type
    assert (result.facts.width, result.facts.height) == (40, 30)
    assert result.file.filename == (name if source != target else f"a.b.{source}")
    assert not result.warnings


def test_same_format_is_left_alone(tmp_path: Path) -> None:
    path = comfy_png(tmp_path / "a.png")
    assert prepared(path, format="png").file.path == path


def test_quality_counts(tmp_path: Path) -> None:
    path = comfy_png(tmp_path / "a.png", 200, 200)
    for target in ("jpeg", "webp"):
        low, high = (prepared(path, format=target, quality=quality).file.size_bytes for quality in (20, 95))
        assert low < high / 2


def test_alpha_is_put_on_white_for_jpeg_and_kept_for_webp(tmp_path: Path) -> None:
    Image.new("RGBA", (16, 16), (255, 0, 0, 0)).save(tmp_path / "a.png")
    flat = opened(prepared(tmp_path / "a.png", format="jpeg"))
    assert flat.getpixel((8, 8)) == (255, 255, 255)
    assert opened(prepared(tmp_path / "a.png", format="webp")).getpixel((8, 8))[3] == 0


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(tmp_path / "a.png", transparency=1)
    assert opened(prepared(tmp_path / "a.png", format="jpeg")).getpixel((8, 8)) == (255, 255, 255)


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    image = Image.new("I;16", (32, 16))
    for x in range(32):
        for y in range(16):
            image.putpixel((x, y), x // 8 * 20_000)
    image.save(tmp_path / "a.png")
    shown = opened(prepared(tmp_path / "a.png", format="jpeg", quality=95))
    assert shown.mode == "L"
    assert [abs(shown.getpixel((x, 8)) - want) < 6 for x, want in ((4, 0), (12, 78), (20, 156), (28, 233))] == [
        True
    ] * 4


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("target", ["jpeg", "webp", "png"])
def test_every_mode_converts(tmp_path: Path, mode: str, target: str) -> None:
    picture().convert(mode).save(tmp_path / "a.tif")
    result = prepared(tmp_path / "a.tif", format=target)
    assert result.file.mime_type == f"image/{target}"
    assert not result.warnings


def test_profile_stays_where_it_still_fits(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture().save(tmp_path / "a.png", icc_profile=profile)
    assert opened(prepared(tmp_path / "a.png", format="webp", metadata="strip")).info["icc_profile"] == profile
    picture(mode="L").save(tmp_path / "grey.png", icc_profile=profile)
    assert "icc_profile" not in opened(prepared(tmp_path / "grey.png", format="jpeg")).info


@pytest.mark.parametrize("target", ["jpeg", "webp"])
def test_workflow_is_carried_over_as_comfyui_writes_it(tmp_path: Path, target: str) -> None:
    exif = opened(prepared(comfy_png(tmp_path / "a.png", Extra='{"a": 1}'), format=target)).getexif()
    assert exif[0x0110] == f"prompt:{PROMPT}"
    assert exif[0x010F] == f"workflow:{WORKFLOW}"
    assert exif[0x010E] == 'Extra:{"a": 1}'


@pytest.mark.parametrize("source", ["jpeg", "webp"])
def test_workflow_comes_back_into_png_text(tmp_path: Path, source: str) -> None:
    picture().save(tmp_path / "x", format=source, exif=comfy_exif())
    image = opened(prepared(tmp_path / "x", f"x.{source}", format="png"))
    assert image.text == {"prompt": PROMPT, "workflow": WORKFLOW}
    assert 0x0110 not in image.getexif()


def test_json_that_is_not_ascii_survives_exif(tmp_path: Path) -> None:
    path = comfy_png(tmp_path / "a.png", raw=json.dumps({"t": "Ünï ☃ 😀"}, ensure_ascii=False))
    text = opened(prepared(path, format="webp")).getexif()[0x010E]
    assert json.loads(text.removeprefix("raw:")) == {"t": "Ünï ☃ 😀"}


def test_jpeg_without_room_for_the_workflow_keeps_the_prompt_and_says_so(tmp_path: Path) -> None:
    path = comfy_png(tmp_path / "a.png", huge=json.dumps({"x": "y" * 70_000}))
    result = prepared(path, format="jpeg")
    exif = opened(result).getexif()
    assert exif[0x0110] == f"prompt:{PROMPT}"
    assert 0x010F not in exif
    assert [warning["code"] for warning in result.warnings] == ["METADATA_DROPPED"]


@pytest.mark.parametrize("target", ["jpeg", "webp", None])
def test_strip_leaves_nothing(tmp_path: Path, target: str | None) -> None:
    result = prepared(comfy_png(tmp_path / "a.png"), format=target, metadata="strip")
    assert b"secret" not in result.file.path.read_bytes()
    assert not result.warnings
    assert result.file.sha256 != output_file(tmp_path / "a.png").sha256


def test_default_metadata_applies_when_the_job_is_silent(tmp_path: Path) -> None:
    path = comfy_png(tmp_path / "a.png")
    for asked, default, gone in ((None, "strip", True), ("keep", "strip", False), (None, "keep", False)):
        result = prepare(output_file(path), OutputOptions(metadata=asked), tmp_path, default)
        assert (b"secret" not in result.file.path.read_bytes()) == gone


def test_orientation_is_applied_when_converting(tmp_path: Path) -> None:
    picture(40, 20).save(tmp_path / "a.jpg", exif=comfy_exif(orientation=6))
    result = prepared(tmp_path / "a.jpg", format="webp")
    assert (result.facts.width, result.facts.height) == (20, 40)
    assert 0x0112 not in opened(result).getexif()
    assert 0x0110 in opened(result).getexif()


@pytest.mark.parametrize("kind", ["gif", "png"])
def test_animation_becomes_webp_and_nothing_else(tmp_path: Path, kind: str) -> None:
    first, *others = [picture(seed=seed) for seed in range(3)]
    path = tmp_path / f"a.{kind}"
    first.save(path, save_all=True, append_images=others, duration=[100, 200, 300], loop=0)
    result = prepared(path, format="webp")
    image = opened(result)
    durations = []
    for frame in range(image.n_frames):
        image.seek(frame)
        image.load()
        durations.append(image.info["duration"])
    assert durations == [100, 200, 300]
    assert image.info["loop"] == 0
    left = prepared(path, format="jpeg")
    assert left.file.path == path
    assert left.file.mime_type == f"image/{kind}"
    assert [warning["code"] for warning in left.warnings] == ["NOT_CONVERTED"]


def test_animated_png_carries_its_workflow_into_webp(tmp_path: Path) -> None:
    exif = opened(prepared(comfy_apng(tmp_path / "a.png"), format="webp")).getexif()
    assert exif[0x0110] == f"prompt:{PROMPT}"
    assert exif[0x010F] == f"workflow:{WORKFLOW}"


def test_webp_stays_when_too_wide(tmp_path: Path) -> None:
    Image.new("L", (17_000, 4)).save(tmp_path / "a.png")
    result = prepared(tmp_path / "a.png", format="webp")
    assert result.file.path == tmp_path / "a.png"
    assert result.warnings[0]["node_id"] == "9"
    assert len(list(tmp_path.iterdir())) == 1, "the half-made file is gone"


def test_a_picture_too_large_to_decode_is_left_with_a_warning(tmp_path: Path) -> None:
    result = prepared(huge_png(tmp_path / "a.png"), format="jpeg", metadata="strip")
    assert [warning["code"] for warning in result.warnings] == ["NOT_CONVERTED"]


def test_a_broken_picture_is_left_with_a_warning(tmp_path: Path) -> None:
    path = comfy_png(tmp_path / "a.png", 200, 200)
    path.write_bytes(path.read_bytes()[:3000])
    result = prepared(path, format="webp", metadata="strip")
    assert [warning["code"] for warning in result.warnings] == ["NOT_CONVERTED", "METADATA_KEPT"]


@pytest.mark.parametrize("name", ["v.mp4", "s.flac", "w.latent", "m.glb", "d.svg"])
def test_other_kinds_are_untouched_and_strip_says_it_cannot(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\0\0\0\x20ftypisom and so on")
    result = prepared(tmp_path / name, metadata="strip")
    assert result.file.path == tmp_path / name
    assert [warning["code"] for warning in result.warnings] == ["METADATA_KEPT"]
    assert not prepared(tmp_path / name, metadata="keep").warnings


def test_text_has_no_metadata_to_warn_of(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("hello")
    assert not prepared(tmp_path / "t.txt", metadata="strip", format="jpeg").warnings
