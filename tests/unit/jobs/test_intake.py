"""Files that come with a request, on their way into the spool."""

import base64
import io
import json
import time
from pathlib import Path

import pytest
from PIL import Image

from api.errors import InvalidInputFile
from api.ids import JobId
from api.inputs.resolve import InputPolicy, InputResolver
from api.jobs.cancel import CancelToken
from api.jobs.intake import Intake
from api.jobs.request import ImageSpec, Limits, parse
from api.jobs.spool import Spool
from api.sealing import Sealer

WORKFLOW = {"1": {"class_type": "LoadImage", "inputs": {"image": "0.png"}}}
JOB = JobId("job")


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


class Inputs:
    """The worker's own checks, counted."""

    def __init__(self, upload: Path) -> None:
        self.checked: list[str] = []
        self._resolver = InputResolver(InputPolicy())
        self._upload = upload

    def intake(self, folder: Path) -> Intake:
        return Intake(Spool(folder, 0), Sealer(bytes(32)), self._keep, lambda _sha256: self._upload, self._check)

    def _keep(self, spec: ImageSpec, path: Path) -> bool:
        self.checked.append(spec.name)
        return self._resolver.keep(spec, path)

    def _check(self, spec: ImageSpec, path: Path) -> None:
        self.checked.append(spec.name)
        self._resolver.check(spec, path)


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    (tmp_path / "upload").write_bytes(png())
    return Inputs(tmp_path / "upload")


def taken(inputs: Inputs, folder: Path, *images: tuple[str, str]) -> dict[str, Path]:
    given = [{"name": name, "image": source} for name, source in images]
    job = {"input": {"workflow": WORKFLOW, "images": given}}
    intake = inputs.intake(folder)
    intake.take(JOB, job, parse(json.loads(json.dumps(job)), Limits()))
    found = intake.reopen(JOB)
    assert found
    return {image["name"]: found[1][image["image"]] for image in found[0]["input"]["images"]}


@pytest.mark.parametrize("source", ["upload:" + "a" * 64, base64.b64encode(png()).decode()])
def test_a_source_that_comes_many_times_is_checked_once(inputs: Inputs, tmp_path: Path, source: str) -> None:
    held = taken(inputs, tmp_path / "spool", *((f"{at}.png", source) for at in range(100)))
    assert inputs.checked == ["0.png"]
    assert {path.read_bytes() for path in held.values()} == {png()} and len(set(held.values())) == 100


def test_under_another_kind_of_name_it_is_checked_again(inputs: Inputs, tmp_path: Path) -> None:
    text = base64.b64encode(b"no picture").decode()
    with pytest.raises(InvalidInputFile, match=r"b\.png"):
        taken(inputs, tmp_path / "spool", ("a.txt", text), ("b.png", text))
    assert inputs.checked == ["a.txt", "b.png"]


def test_a_job_s_equal_contents_are_decoded_once_however_they_are_written(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (4000, 4000)).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    specs = [ImageSpec(f"{at}.png", text + "\n" * at, f"images.{at}") for at in range(40)]
    took_s: list[float] = []
    for count in (1, 40):
        started = time.thread_time()
        files = InputResolver(InputPolicy()).resolve(specs[:count], tmp_path / str(count), CancelToken())
        took_s.append(time.thread_time() - started)
        assert [file.mime_type for file in files] == ["image/png"] * count
    assert took_s[1] < 10 * took_s[0]
