"""The files that the guide shows can be used, and mean what it says of them."""

import json
import re
from pathlib import Path

import pytest

from api.workflows import naming, routing_file
from api.workflows.naming import standardize_workflow_name
from api.workflows.routing import Ask

GUIDE = Path(__file__).parents[3] / "docs" / "machine-routing.md"
BLOCKS = re.findall(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_file_of_the_guide_is_sound(block: str, tmp_path: Path) -> None:
    path = tmp_path / "example.json"
    path.write_text(block)
    check = naming.check if "workflows" in json.loads(block) else routing_file.check
    assert check(path) == []


@pytest.mark.parametrize(
    ("said", "standard"),
    re.findall(r"`([^`]+)`\s+is\s+`([^`]+)`", GUIDE.read_text().partition("## Where jobs go")[0]),
)
def test_names_become_what_the_guide_says(said: str, standard: str) -> None:
    assert standardize_workflow_name(said) == standard


@pytest.mark.parametrize(
    ("workflow", "models", "rule"),
    [
        ("img2video", (), "films"),
        ("txt2img", (), "pictures"),
        (None, ("flux1.safetensors",), "flux"),
        ("x", (), "default"),
    ],
)
def test_its_rules_send_jobs_as_they_seem_to(
    workflow: str | None, models: tuple[str, ...], rule: str, tmp_path: Path
) -> None:
    path = tmp_path / "routing.json"
    path.write_text(next(block for block in BLOCKS if '"films"' in block))
    assert routing_file.Router(path).tables().whole.route(Ask(workflow, models)).rule == rule
