"""Every example that callers of the HTTP API have copied runs as it stands; only the port and the file differ."""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
from support import sample_jobs
from support.api_process import ApiProcess
from support.standin_process import ROOT, StandinProcess

pytestmark = pytest.mark.e2e
TEXT = (ROOT / "tests" / "data" / "http_api" / "examples.md").read_text()
(PYTHON,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
SHELL = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
ADD_YOURS = "    # ... add your complete workflow here\n"
UNKNOWN = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture(scope="module")
def api() -> Iterator[ApiProcess]:
    with StandinProcess() as standin, ApiProcess({"COMFY_HOST": standin.url}) as process:
        yield process


def here(example: str, api: ApiProcess) -> str:
    return example.replace("localhost:8000", api.url.removeprefix("http://"))


def ran(command: list[str]) -> str:
    """What the command prints."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def python(example: str, api: ApiProcess) -> str:
    """What the example prints."""
    return ran([sys.executable, "-c", here(example, api)])


def shell(start: str, api: ApiProcess) -> dict[str, object]:
    """What the one example that starts so is answered with."""
    (example,) = [text for text in SHELL if text.startswith(start)]
    printed = ran(["bash", "-c", here(example, api)])
    body: dict[str, object] = json.loads(printed)
    return body


def test_the_python_client_as_it_stands(api: ApiProcess) -> None:
    printed = python(PYTHON, api)
    # Its workflow is one without an output.
    assert re.search(r"^Job submitted: [0-9a-f-]{36}$", printed, re.MULTILINE)
    assert re.search(r"^Job failed: \S", printed, re.MULTILINE)
    assert "'failed_jobs': " in printed and "'recent_jobs': [{'id': " in printed


def test_the_python_client_with_a_complete_workflow(api: ApiProcess) -> None:
    assert ADD_YOURS in PYTHON
    # The same names again: later ones win, and no model is asked for.
    printed = python(PYTHON.replace(ADD_YOURS, f"    , **{sample_jobs.flat(7)!r}\n"), api)
    assert "Job completed successfully!" in printed
    assert "Generated image: flat_00001_.png" in printed
    assert "System stats: {'total_jobs': " in printed


def test_submit_with_curl(api: ApiProcess) -> None:
    body = shell('curl -X POST "http://localhost:8000/run"', api)
    assert list(body) == ["job_id", "status"] and body["status"] == "pending"
    assert api.ended(str(body["job_id"]))["status"] == "failed"


def test_status_with_curl(api: ApiProcess) -> None:
    assert shell(f'curl "http://localhost:8000/status/{UNKNOWN}"', api)["statusCode"] == 404


def test_stats_with_curl(api: ApiProcess) -> None:
    body = shell('curl "http://localhost:8000/stats', api)
    assert list(body)[:5] == ["total_jobs", "pending_jobs", "running_jobs", "completed_jobs", "failed_jobs"]
    assert isinstance(body["recent_jobs"], list)


@pytest.mark.parametrize("hours", ["12", "1"])
def test_cleanup_with_curl(api: ApiProcess, hours: str) -> None:
    body = shell(f'curl -X POST "http://localhost:8000/admin/cleanup?max_age_hours={hours}"', api)
    assert (body["removed"], body["max_age_hours"]) == (0, float(hours))


def test_reset_with_curl(api: ApiProcess) -> None:
    assert shell('curl -X POST "http://localhost:8000/admin/reset-stuck"', api)["reset"] == 0


def test_the_database_can_be_looked_into(api: ApiProcess) -> None:
    answer = requests.post(f"{api.url}/run", json={"workflow": sample_jobs.flat(9)}, timeout=10)
    (example,) = [text for text in SHELL if text.startswith("sqlite3")]
    query = re.findall(r'"(.*)"', example)[0]
    database = sqlite3.connect(f"file:{api.database_path}?mode=ro", uri=True)
    try:
        rows = database.execute(query).fetchall()
    finally:
        database.close()
    assert any(answer.json()["job_id"] in row for row in rows)


def test_no_example_is_left_out() -> None:
    assert len(SHELL) == 7
