"""What runs have put out, as rows tell it."""

from typing import Any

import pytest

from api.comfydeploy.outputs import errors_of, outputs_of
from api.comfydeploy.rows import Deployment, Machine, RunState
from api.deploy_errors import DeployProtocolError


def run(*data: dict[str, Any]) -> RunState:
    rows = [{"id": "o", "data": each, "node_meta": {"node_id": str(at)}} for at, each in enumerate(data)]
    return RunState.of({"id": "r", "status": "success", "outputs": rows})


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"url": f"https://files/{name}", "filename": name, "subfolder": "", "type": "output", **more}


def test_files_and_texts() -> None:
    found = run({"images": [entry("a.png"), entry("b.png", type="temp")]}, {"text": ["hello"], "flag": True})
    files, texts = outputs_of(found)
    assert [(file.node_id, file.key, file.filename, file.data) for file in files] == [
        ("0", "images", "a.png", "https://files/a.png")
    ]
    assert [(text.node_id, text.key, text.text) for text in texts] == [("1", "text", "hello"), ("1", "flag", "True")]
    assert len(outputs_of(found, include_temp=True)[0]) == 2


def test_what_is_told_twice_counts_once_and_what_leads_elsewhere_never() -> None:
    early = run({"images": [entry("a.png", url=None)]}, {"images": [entry("../../a.png"), {"filename": "c.png"}]})
    assert outputs_of(early) == ([], ())
    twice = RunState.of({**early.raw, "outputs": [{"data": {"images": [entry("a.png")]}, "output_id": "out"}] * 2})
    assert [file.node_id for file in outputs_of(twice)[0]] == ["out"]


def test_reasons_of_failures_without_their_stack() -> None:
    failed = run(
        {"error": "plain"},
        {"error": {"error_type": "ValueError", "stack_trace": "secret path"}},
        {"error": {"error": {"message": "Prompt outputs failed validation"}, "node_errors": {}}},
        {"error": {}},
    )
    reasons = list(errors_of(failed))
    assert reasons == ["plain", "ValueError", "Prompt outputs failed validation", "it gave no reason"]
    assert outputs_of(failed) == ([], ())


def test_rows_may_lack_and_have_anything_but_an_id() -> None:
    assert RunState.of({"id": "r", "progress": "half", "outputs": [1, None]}).outputs == ()
    assert Deployment.of({"id": "d", "input_types": None, "workflow": None}).inputs == ()
    assert Machine.of({"id": "m", "status": "a new word"}).trouble == "its status is a new word"
    with pytest.raises(DeployProtocolError):
        RunState.of({"status": "success"})
