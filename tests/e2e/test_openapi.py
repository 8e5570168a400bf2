"""The OpenAPI document against the worker that serves it: no 500 whatever is sent, and answers are as documented."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.api_worker import ApiWorker
from support.openapi_examples import (
    undeclared_parameters,
    without_description,
    without_example,
    wrong_examples,
)
from support.standin_process import StandinProcess
from support.waiting import wait_for

from api.routes.paths import STREAM_PATHS

pytestmark = pytest.mark.e2e

_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# 503 is what calls of workflows are told whose nodes this ComfyUI does not have.
_CONFIG = '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", "503"]\n'
# Streams, without an end or with one when their job ends; what keeps all jobs from ending, for which others wait; and
# what gives the worker ComfyUIs that are not there.
_LEFT_OUT = "^/events|^/api/comfy/stream/[^/]*$|^/queue/pause$|^/admin/instances"


def test_the_document_is_whole(worker: ApiWorker) -> None:
    document = worker.get("/openapi.json").json()
    assert without_example(document) == []
    assert without_description(document) == []
    assert wrong_examples(document) == []
    assert undeclared_parameters(document) == []
    operations = [each for item in document["paths"].values() for each in item.values()]
    names = [each["operationId"] for each in operations]
    assert sorted(set(names)) == sorted(names)
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[A-Za-z0-9]+)*", name)] == []
    assert {tag for each in operations for tag in each["tags"]} == {each["name"] for each in document["tags"]}
    # Whatever is answered has to stand there by its number, for schemathesis to hold it to that.
    assert [each["operationId"] for each in operations if not {"500"} <= each["responses"].keys() - {"default"}] == []
    assert [each["operationId"] for each in operations if "default" in each["responses"]] == []
    # Their number is limited by where they are.
    streams = [path for path, item in document["paths"].items() if "text/event-stream" in json.dumps(item)]
    assert [path for path in streams if not path.startswith(STREAM_PATHS)] == []
    assert len(streams) == 3


@pytest.mark.timeout(240)
def test_nothing_that_is_sent_makes_a_500_or_an_undocumented_answer(worker: ApiWorker, tmp_path: Path) -> None:
    (config := tmp_path / "schemathesis.toml").write_text(_CONFIG)
    run = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "schemathesis.cli",
                "--config-file",
                str(config),
                "run",
                f"{worker.url}/openapi.json",
            ),
            *("--checks", _CHECKS, "--phases", "examples,fuzzing", "--max-examples", "5", "--seed", "1"),
            *("--exclude-path-regex", _LEFT_OUT, "--request-timeout", "20", "--workers", "4"),
            "--suppress-health-check=all",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
    )
    defects = [line for line in worker.process.log.splitlines() if "Traceback" in line]
    assert defects == []
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]


@pytest.fixture
def worker(tmp_path: Path):
    with StandinProcess() as comfyui, ApiWorker(tmp_path, comfyui.url, {"LOG_LEVEL": "warning"}) as running:
        wait_for(lambda: running.get("/readyz").ok, "ComfyUI")
        yield running
