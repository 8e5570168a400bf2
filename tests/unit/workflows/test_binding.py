"""Calls of named workflows made into jobs."""

import time
from pathlib import Path
from typing import Any

import pytest
from support.workflow_folders import IMAGE, TEMPLATE, WIDTH, manifest, write_folder

from api.errors import InvalidInput, WorkflowUnusable
from api.jobs.submission import Submission, in_words_of
from api.workflows.binding import Binder, FileLimits
from api.workflows.registry import Registry


def binder(folder: Path, **inputs: Any) -> Binder:
    """One that knows the workflow shrink with these inputs."""
    write_folder(folder, about=manifest(inputs={"image": IMAGE, **inputs}))
    return Binder(Registry(folder), FileLimits(max_bytes=1000))


def given(binder: Binder, **inputs: Any) -> dict[str, Any]:
    """The job's input of a call."""
    return dict(binder.bind({"workflow_name": "shrink", "inputs": {"image": "aGk=", **inputs}}).given)


def put(binder: Binder, node_id: str, name: str, **inputs: Any) -> Any:
    """What a call puts into one place of the template."""
    return given(binder, **inputs)["workflow"][node_id]["inputs"][name]


def refused(binder: Binder, inputs: Any, **rest: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        binder.bind({"workflow_name": "shrink", "inputs": inputs, **rest})
    return caught.value


def test_a_file_goes_beside_the_workflow_with_its_limits(tmp_path: Path) -> None:
    job = given(binder(tmp_path))
    assert job["images"] == [
        {"name": "image.png", "image": "aGk=", "max_bytes": 1000, "formats": ["png", "jpeg", "webp"]}
    ]
    assert job["workflow"]["1"]["inputs"]["image"] == "image.png"


def test_a_manifest_may_have_limits_of_its_own(tmp_path: Path) -> None:
    own = {**IMAGE, "max_bytes": 5, "formats": ["gif"]}
    write_folder(tmp_path, about=manifest(inputs={"image": own}))
    (image,) = given(Binder(Registry(tmp_path)))["images"]
    assert (image["max_bytes"], image["formats"]) == (5, ["gif"])


@pytest.mark.parametrize("value", [16, "16", 16.0])
def test_a_number_is_put_where_it_belongs(tmp_path: Path, value: Any) -> None:
    assert put(binder(tmp_path, width=WIDTH), "2", "width", width=value) == 16


def test_the_default_is_taken_and_without_one_the_template_stays(tmp_path: Path) -> None:
    optional = binder(
        tmp_path, width={**WIDTH, "default": 33}, height={**WIDTH, "target": "2.height", "required": False}
    )
    assert put(optional, "2", "width") == 33
    assert put(optional, "2", "height") == TEMPLATE["2"]["inputs"]["height"]


def test_one_value_may_go_to_several_places(tmp_path: Path) -> None:
    both = binder(tmp_path, size={**WIDTH, "target": ["2.width", "2.height"]})
    assert (put(both, "2", "width", size=5), put(both, "2", "height", size=5)) == (5, 5)


def test_a_choice_may_stand_for_something_else(tmp_path: Path) -> None:
    method = {"type": "choice", "target": "2.upscale_method", "choices": {"best": "lanczos", "fast": "area"}}
    assert put(binder(tmp_path, method=method), "2", "upscale_method", method="fast") == "area"


def test_a_choice_may_stand_for_different_values_in_different_places(tmp_path: Path) -> None:
    choices = {"wide": {"2.width": 20, "2.height": 10}, "high": {"2.width": 10, "2.height": 20}}
    shape = binder(tmp_path, shape={"type": "choice", "target": ["2.width", "2.height"], "choices": choices})
    assert (put(shape, "2", "width", shape="high"), put(shape, "2", "height", shape="high")) == (10, 20)


def test_an_option_of_the_job_may_be_set(tmp_path: Path) -> None:
    kind = {"type": "choice", "target": "output_format", "choices": ["png", "webp"]}
    assert given(binder(tmp_path, kind=kind), kind="webp")["output_format"] == "webp"


def test_a_seed_is_drawn_anew_unless_it_is_given(tmp_path: Path) -> None:
    seeded = binder(tmp_path, seed={"type": "seed", "target": "2.width"})
    assert put(seeded, "2", "width", seed=7) == 7
    drawn = {put(seeded, "2", "width") for _ in range(5)}
    assert len(drawn) == 5 and all(0 <= seed < 2**53 for seed in drawn)


def test_the_rest_of_the_input_goes_along_and_the_time_limit_is_the_workflows(tmp_path: Path) -> None:
    write_folder(tmp_path, about=manifest(timeout_s=9))
    call = {"workflow_name": "shrink", "inputs": {"image": "aGk="}}
    timed = Binder(Registry(tmp_path))
    assert timed.bind({**call, "receipt": True}).given["timeout_s"] == 9
    bound = timed.bind({**call, "receipt": True, "timeout_s": 3}).given
    assert (bound["receipt"], bound["timeout_s"]) == (True, 3)
    assert "workflow_name" not in bound and "inputs" not in bound


@pytest.mark.parametrize(
    ("inputs", "field", "code", "message"),
    [
        ({"width": 3}, "inputs.image", "missing", "inputs.image is missing"),
        ({"image": "a", "widht": 3}, "inputs.widht", "unknown_field", "did you mean width?"),
        ({"image": "a", "width": 65}, "inputs.width", "out_of_range", "must be less than or equal to 64"),
        ({"image": "a", "width": "wide"}, "inputs.width", "wrong_type", "must be a whole number, not a string"),
        ({"image": "a", "width": True}, "inputs.width", "wrong_type", "not true or false"),
        ({"image": 5}, "inputs.image", "wrong_type", "must be a string"),
        ("a", "inputs", "wrong_type", "inputs must be an object, not a string"),
    ],
)  # fmt: skip
def test_a_call_is_refused_by_field(tmp_path: Path, inputs: Any, field: str, code: str, message: str) -> None:
    error = refused(binder(tmp_path, width={**WIDTH, "default": 8}), inputs)
    (detail,) = error.details
    assert (detail["field"], detail["code"]) == (field, code)
    assert message in error.message


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    error = refused(binder(tmp_path, width=WIDTH), {"widht": 3})
    assert [detail["field"] for detail in error.details] == ["inputs.widht", "inputs.image", "inputs.width"]


def test_a_name_and_a_workflow_are_one_too_many(tmp_path: Path) -> None:
    error = refused(binder(tmp_path), {"image": "a"}, workflow=TEMPLATE)
    assert "leave one of them out" in error.message


def test_an_unknown_name_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        binder(tmp_path).bind({"workflow_name": "shrnk", "inputs": {}})
    assert caught.value.code == "INVALID_INPUT"
    assert caught.value.details[0]["nearest"] == ["shrink"]


def test_a_broken_workflow_is_not(tmp_path: Path) -> None:
    (tmp_path / "torn.json").write_text("{")
    with pytest.raises(WorkflowUnusable):
        Binder(Registry(tmp_path)).bind({"workflow_name": "torn"})


def test_a_submission_keeps_the_name_and_others_stay_as_they_are(tmp_path: Path) -> None:
    shrink = binder(tmp_path)
    call = Submission(job={"input": {"workflow_name": "shrink", "inputs": {"image": "a"}}}, dialect="native")
    bound = shrink.submission(call)
    assert bound.workflow_name == "shrink" and "workflow" in bound.job["input"]
    plain = Submission(job={"input": {"workflow": TEMPLATE}}, dialect="native")
    assert shrink.submission(plain) is plain
    assert shrink.job("no job") == "no job"


def test_errors_of_the_job_speak_of_the_inputs(tmp_path: Path) -> None:
    places = (
        binder(tmp_path, width=WIDTH).bind({"workflow_name": "shrink", "inputs": {"image": "a", "width": 3}}).places
    )
    details: Any = [
        {"field": "images.0.image", "message": "images.0.image: not a picture."},
        {"field": "images.0.images", "message": "images.10.image: other."},
        {"field": "workflow.2.inputs.width", "message": "Too wide."},
    ]
    error = InvalidInput("images.0.image: not a picture.", details)
    in_words_of(places, error)
    assert error.message == str(error) == "inputs.image: not a picture."
    assert [detail["field"] for detail in error.details] == ["inputs.image", "images.0.images", "inputs.width"]
    assert error.details[1]["message"] == "images.10.image: other."


def test_of_thousands_of_unknown_inputs_some_are_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        binder(tmp_path).bind({"workflow_name": "shrink", "inputs": {f"imag{at}": "a" for at in range(5000)}})
    details = [detail for detail in caught.value.details if detail["code"] == "unknown_field"]
    assert len(details) == 100 and details[0]["nearest"] == ["image"]


def test_places_are_renamed_once_each_however_alike_they_are() -> None:
    places = {"inputs.a": "a", "inputs.a b": "inputs.a", "images.1": "inputs.c", "images.1.image": "d"}
    text = "inputs.a b, (inputs.a) and images.1.image; not images.10 nor my.inputs.a nor inputs.a.b."
    error = InvalidInput(text, [{"field": "inputs.a b", "message": "images.1: no."}])
    in_words_of(places, error)
    assert error.message == "inputs.a, (a) and d; not images.10 nor my.inputs.a nor inputs.a.b."
    assert error.details == [{"field": "inputs.a", "message": "inputs.c: no."}]
    many = {f"workflow.{at}.inputs.seed": f"inputs.seed{at}" for at in range(1000)}
    error = InvalidInput("Bad.", [{"message": f"{place}: wrong."} for place in many])
    started = time.process_time()
    in_words_of(many, error)
    assert time.process_time() - started < 1.0
    assert error.details[999]["message"] == "inputs.seed999: wrong."
