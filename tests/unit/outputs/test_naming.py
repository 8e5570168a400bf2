"""Keys and file names: the template, its check, safety against any name, uniqueness within a job."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.output_files import output_file

from api.errors import InvalidSettings
from api.ids import JobId
from api.outputs.naming import KeyTemplate, TakenNames, job_component, safe_component

FILE = output_file(Path("/nowhere"), "Ünï ☃.final.png", node_id="12:3", index=4, subfolder="a/b", sha256="c0ffee")
TEXT = st.text(max_size=300)


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("{job_id}/{filename}", "job/Ünï ☃.final.png"),
        ("{date}/{job_id}/{node_id}-{index}.{ext}", "2026-11-21/job/12:3-4.png"),
        ("{job_id}/{subfolder}/{stem}.{ext}", "job/a/b/Ünï ☃.final.png"),
        ("pictures/{sha256}", "pictures/c0ffee"),
        ("/{job_id}//{filename}", "job/Ünï ☃.final.png"),
    ],
)
def test_fields(template: str, key: str) -> None:
    assert KeyTemplate(template, today=lambda: date(2026, 11, 21)).key(JobId("job"), FILE) == key


def test_prefix_goes_in_front() -> None:
    assert KeyTemplate(prefix="/x/y/").key(JobId("job"), FILE) == "x/y/job/Ünï ☃.final.png"


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{filename}",
        "{job_id}/{user}",
        "{job_id.__class__}",
        "{job_id!r}",
        "{job_id:>300}",
        "{job_id}/{",
        "{job_id}/}",
        "{}/{job_id}",
        "{0}",
        "{job_id}/",
        "{job_id}/../{filename}",
        "../{job_id}",
        "./{job_id}",
    ],
)
def test_a_bad_template_is_refused_at_start(template: str) -> None:
    with pytest.raises(InvalidSettings, match="key template"):
        KeyTemplate(template)


@pytest.mark.parametrize("prefix", ["..", "a/../b", "./a", "a\\b", "a\nb", "x" * 300, "\ud800"])
def test_a_bad_prefix_is_refused_at_start(prefix: str) -> None:
    with pytest.raises(InvalidSettings, match="key prefix"):
        KeyTemplate(prefix=prefix)


@given(job_id=TEXT, node_id=TEXT, filename=TEXT, subfolder=TEXT, sha256=TEXT)
def test_no_name_leads_out_of_the_prefix(job_id: str, node_id: str, filename: str, subfolder: str, sha256: str) -> None:
    template = KeyTemplate("{job_id}/{node_id}/{subfolder}/{sha256}.{stem}.{ext}/{filename}", "pre/fix")
    file = output_file(Path("/nowhere"), filename or "x", node_id=node_id, subfolder=subfolder, sha256=sha256)
    key = template.key(JobId(job_id), file)
    assert key.startswith("pre/fix/")
    assert not {"", ".", ".."} & set(key.split("/"))
    assert key.isprintable() or not any(ord(letter) < 32 for letter in key)
    assert len(key.encode()) <= 1024


@given(TEXT)
def test_any_text_becomes_one_path_component(text: str) -> None:
    name = safe_component(text)
    assert name not in ("", ".", "..")
    assert not set("/\\\0") & set(name)
    assert len(name.encode()) <= 200
    assert safe_component(name) == name


@given(TEXT, TEXT)
def test_two_jobs_never_share_a_folder(one: str, other: str) -> None:
    assert (job_component(JobId(one)) == job_component(JobId(other))) == (one == other)


def test_a_long_name_keeps_its_extension() -> None:
    assert safe_component("☃" * 200 + ".webp").endswith("☃.webp")


def test_twins_get_names_of_their_own_and_the_same_ones_again() -> None:
    names, job = TakenNames(), JobId("job")
    files = [output_file(Path("/nowhere"), "out.png", node_id=node, index=i) for node in ("9", "12") for i in (0, 1)]
    claimed = [names.claim(job, "job/out.png", file) for file in files]
    assert claimed == ["job/out.png", "job/out-9-1.png", "job/out-12-0.png", "job/out-12-1.png"]
    assert [names.claim(job, "job/out.png", file) for file in files] == claimed
    assert names.claim(JobId("other"), "job/out.png", files[1]) == "job/out.png"


def test_twins_of_twins() -> None:
    names, job = TakenNames(), JobId("job")
    same = [output_file(Path("/nowhere"), "x.png", key=key) for key in ("images", "gifs", "previews")]
    assert [names.claim(job, "x.png", file) for file in same] == ["x.png", "x-9-0.png", "x-9-0-2.png"]
