"""The documents that are kept in this repository are those of the account every stand-in has."""

from pathlib import Path

import pytest

from api.comfydeploy.documents import CATALOG_FILE, MAPPING_FILE, name_mapping, workflows_catalog
from api.comfydeploy.rows import Deployment, Machine, Workflow
from api.standin.deploy.sample import sample_account
from api.workflows.naming import builtin
from api.workflows.registry import Registry

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "comfyui-deploy"
URL = "http://127.0.0.1:3011/api"


def made() -> dict[str, str]:
    account = sample_account()
    workflows = [Workflow.of(each.row()) for each in account.workflows]
    deployments = [Deployment.of(row) for row in account.deployments]
    machines = [Machine.of(row) for row in account.machines]
    local = [entry.name for entry in Registry().entries()]
    return {
        # In whatever order the API has them.
        CATALOG_FILE: workflows_catalog(workflows[::-1], deployments[::-1], machines[::-1], builtin(), URL),
        MAPPING_FILE: name_mapping(workflows[::-1], local[::-1], builtin(), URL),
    }


@pytest.mark.parametrize("name", [CATALOG_FILE, MAPPING_FILE])
def test_they_are_up_to_date(name: str) -> None:
    hint = "start `python -m api.standin.deploy`, and make them anew as docs/comfyui-deploy/README.md says"
    assert (FOLDER / name).read_text(encoding="utf-8") == made()[name], hint


def test_names_from_there_open_no_cell_and_no_tag() -> None:
    odd = Workflow("w-1", "a|b`c\n<script>\\", "x | y")
    told = workflows_catalog([odd], [], [], builtin(), URL) + name_mapping([odd], [], builtin(), URL)
    assert "<script>" not in told and "a\\|b'c &lt;script&gt;\\\\" in told and "x \\| y" in told
