"""Named workflows as files: what is found, what is refused and in which words, and how changes are seen."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.workflow_folders import IMAGE, TEMPLATE, WIDTH, manifest, write_folder

from api.errors import WorkflowNotFound, WorkflowUnusable
from api.workflows.manifest import Manifest
from api.workflows.named import Unusable, read
from api.workflows.naming import builtin
from api.workflows.registry import Registry

DOCUMENTATION = Path(__file__).resolve().parents[3] / "docs" / "named-workflows.md"
BUILTIN = {"convert", "remove-background", "resize", "upscale-image", "watermark"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> Registry:
    return Registry(tmp_path, look_every_s=1, clock=clock)


def found(registry: Registry, clock: Clock) -> dict[str, Any]:
    """The entries of our own, once they have been looked for again."""
    clock.now += 2
    return {entry.name: entry for entry in registry.entries() if not entry.is_builtin}


def test_the_built_in_ones_are_sound() -> None:
    entries = Registry().entries()
    assert {entry.name: entry.error for entry in entries} == dict.fromkeys(BUILTIN)
    assert all(entry.is_builtin for entry in entries)


def test_a_folder_and_a_single_file_are_workflows(tmp_path: Path, registry: Registry) -> None:
    write_folder(tmp_path, "shrink")
    (tmp_path / "small.json").write_text(json.dumps({**manifest(title="Small"), "workflow": TEMPLATE}))
    (tmp_path / "notes.txt").write_text("not one")
    (tmp_path / ".hidden").mkdir()
    assert registry.get("shrink").manifest.title == "Shrink"
    assert registry.get("small").manifest.title == "Small"
    assert {entry.name for entry in registry.entries()} == {*BUILTIN, "shrink", "small"}


def test_one_of_ours_is_taken_over_the_built_in_one(tmp_path: Path, registry: Registry) -> None:
    write_folder(tmp_path, "resize")
    assert (registry.get("resize").title, registry.get("resize").is_builtin) == ("Shrink", False)


def test_changes_are_seen_without_a_restart(tmp_path: Path, registry: Registry, clock: Clock) -> None:
    assert found(registry, clock) == {}
    folder = write_folder(tmp_path)
    assert found(registry, clock)["shrink"].workflow.title == "Shrink"
    (folder / "manifest.json").write_text(json.dumps(manifest(title="Shrink it")))
    assert found(registry, clock)["shrink"].workflow.title == "Shrink it"
    for file in folder.iterdir():
        file.unlink()
    assert found(registry, clock) == {}


def test_files_are_not_looked_at_for_every_question(tmp_path: Path, registry: Registry, clock: Clock) -> None:
    registry.entries()
    write_folder(tmp_path)
    assert "shrink" not in {entry.name for entry in registry.entries()}
    clock.now = 1.5
    assert "shrink" in {entry.name for entry in registry.entries()}


def test_a_broken_one_takes_no_other_down(tmp_path: Path, registry: Registry, clock: Clock) -> None:
    write_folder(tmp_path, "sound")
    (write_folder(tmp_path, "torn") / "manifest.json").write_text('{"title": ')
    entries = found(registry, clock)
    assert entries["sound"].error is None
    assert (entries["torn"].workflow, entries["torn"].error.startswith("manifest.json is not JSON")) == (None, True)
    with pytest.raises(WorkflowUnusable, match=r"torn cannot be used: manifest\.json is not JSON"):
        registry.get("torn")


def test_while_a_file_is_broken_the_last_sound_version_answers(
    tmp_path: Path, registry: Registry, clock: Clock
) -> None:
    folder = write_folder(tmp_path)
    found(registry, clock)
    (folder / "workflow.json").write_text("{")
    entry = found(registry, clock)["shrink"]
    assert entry.workflow.title == "Shrink" and entry.error.startswith("workflow.json is not JSON")
    (folder / "workflow.json").write_text(json.dumps(TEMPLATE))
    assert found(registry, clock)["shrink"].error is None


def test_two_of_one_name_are_told(tmp_path: Path, registry: Registry, clock: Clock) -> None:
    write_folder(tmp_path, "a", manifest(name="same", title="First"))
    write_folder(tmp_path, "b", manifest(name="same", title="Second"))
    entry = found(registry, clock)["same"]
    assert (entry.workflow.title, entry.error) == (
        "First", "b has the name same as well; give one of them another name",
    )  # fmt: skip


def test_an_unknown_name_gets_the_nearest_ones() -> None:
    with pytest.raises(WorkflowNotFound) as caught:
        Registry().get("rezise")
    assert caught.value.details[0]["nearest"] == ["resize"]
    assert "Nearest: resize." in caught.value.message


def test_other_spellings_and_aliases_find_a_workflow(tmp_path: Path) -> None:
    for name in ("shrink", "portrait_v1", "portrait-v2"):
        write_folder(tmp_path, name)
    registry = Registry(tmp_path, matches=builtin().matches)
    for asked, name in (("Shrink", "shrink"), ("Upscaler", "upscale-image"), ("Portrait V1", "portrait_v1")):
        assert registry.get(asked).name == name
    with pytest.raises(WorkflowNotFound, match="It may be any of portrait-v2, portrait_v1"):
        registry.get("portrait")
    with pytest.raises(WorkflowNotFound, match="There is no workflow 'shrink-v2'"):
        registry.get("shrink-v2")


def test_the_result_is_the_only_end_when_it_is_not_named(tmp_path: Path) -> None:
    assert read(write_folder(tmp_path)).result == "3"


def changed(**inputs: Any) -> dict[str, Any]:
    return manifest(inputs={"image": IMAGE, **inputs})


@pytest.mark.parametrize(
    ("about", "told"),
    [
        (changed(width={**WIDTH, "target": "2.widht"}), "manifest.json: inputs.width.target: 2.widht: node 2"),
        (changed(width={**WIDTH, "target": "9.width"}), "no node has the id or title '9'"),
        (changed(width={**WIDTH, "type": "float"}), "manifest.json: inputs.width: "),
        (changed(width={**WIDTH, "minimun": 1}), "inputs.width.integer.minimun: extra inputs are not permitted"),
        (changed(width={**WIDTH, "default": 100}), "input should be less than or equal to 64"),
        (changed(width={"type": "integer"}), "inputs.width.integer.target: field required"),
        (changed(other={**IMAGE}), "inputs.other.target: 1.image is set by image already"),
        (changed(**{"async": WIDTH}), "inputs.async: async has a meaning of its own in a call"),
        (changed(**{"a b": WIDTH}), "inputs.a b: the name of an input is made of letters"),
        (changed(size={"type": "choice", "target": "2.width", "choices": {"s": {"2.height": 1}}}), "no target of"),
        (changed(file={"type": "image", "target": "2.crop", "formats": ["bmp", "psd"]}), "psd is none of"),
        (manifest(result="9"), "manifest.json: result: there is no node 9 in workflow.json"),
        (manifest(name="Jobs and more"), "manifest.json: name: a name is made of small letters"),
        (manifest(name="jobs"), "jobs is the name of another part of the API"),
        (manifest(timeout_s=0), "manifest.json: timeout_s: input should be greater than 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_and_field(tmp_path: Path, about: dict[str, Any], told: str) -> None:
    with pytest.raises(Unusable) as caught:
        read(write_folder(tmp_path, about=about))
    assert told in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_two_ends_have_to_be_decided_between(tmp_path: Path) -> None:
    template = {**TEMPLATE, "4": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}}}
    with pytest.raises(Unusable, match="name the node that makes the result, one of 3, 4"):
        read(write_folder(tmp_path, template=template))


def test_a_bare_export_is_told_how_to_become_one(tmp_path: Path) -> None:
    (tmp_path / "export.json").write_text(json.dumps(TEMPLATE))
    with pytest.raises(Unusable, match=r"python -m api workflows add export\.json"):
        read(tmp_path / "export.json")


def test_a_template_that_could_not_run_is_refused(tmp_path: Path) -> None:
    torn = {**TEMPLATE, "3": {"class_type": "SaveImage", "inputs": {"images": ["7", 0]}}}
    with pytest.raises(Unusable, match=r"workflow\.json: .*linked to node 7"):
        read(write_folder(tmp_path, template=torn))


def test_what_it_needs_is_read_from_the_template(tmp_path: Path) -> None:
    needy = Registry().get("upscale-image")
    assert needy.models == ["4x_NMKD-Siax_200k.pth"]
    assert "UpscaleModelLoader" in needy.nodes


def test_the_manifest_in_the_documentation_is_one() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    (document,) = [block for block in blocks if "title" in block]
    kinds = {name: kind.type for name, kind in Manifest.model_validate(document).inputs.items()}
    assert kinds == {"photo": "image", "prompt": "string", "style": "choice", "size": "integer", "seed": "seed"}


def test_the_documentation_names_the_inputs_of_the_built_in_ones() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    rows = {match[1]: match[2] for match in re.finditer(r"^\| `([a-z-]+)` \| (.*?) \|", text, re.MULTILINE)}
    for workflow in Registry().workflows():
        assert re.findall(r"`(\w+)`", rows[workflow.name]) == list(workflow.manifest.inputs)
