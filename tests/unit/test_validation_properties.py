"""No input of any shape gets past the validation as anything but a validated request or a clear error."""

import base64
import copy
import json
import string
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api.errors import InvalidInput
from api.inputs.resolve import InputPolicy, InputResolver
from api.jobs.cancel import CancelToken
from api.jobs.names import fault_of_name, folder_of, is_job_folder
from api.jobs.ports import InputFile
from api.jobs.request import ImageSpec, JobRequest, Limits, parse
from api.workflows import graph

KEY = b"k" * 32
LIMITS = Limits(max_images=20, max_input_bytes=100_000)
FIELDS = [
    "id input policy s3Config workflow prompt images overrides force output_format output_quality metadata delivery",
    "include_temp receipt timings previews timeout_s extra_pnginfo s3 comfy_org_api_key api_key_comfy_org name image",
    "endpoint_url endpointUrl access_key_id accessId secret_access_key accessSecret executionTimeout class_type",
    "inputs _meta title nodes links filename_prefix seed",
]
KEYS = " ".join(FIELDS).split()
WORKFLOW = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a", "clip": ["4", 1]}, "_meta": {"title": "Prompt"}},
    "3": {"class_type": "KSampler", "inputs": {"seed": 5, "cfg": 7.5, "model": ["4", 0], "positive": ["6", 0]}},
    "10": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x/y"}},
}

surrogates = st.text(st.characters(codec=None, categories=["Cs", "Cc", "Lu", "Zs"]), max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    surrogates,
    st.sampled_from(["../x", "/etc/passwd", "a.png [input]", "1e999", "true", "", "\0", "4", *KEYS]),
)
odd = st.one_of(
    st.binary(max_size=8),
    st.just(object()),
    st.just(float),
    st.just(10**400),
    st.complex_numbers(),
    st.dates(),
    st.tuples(st.text(max_size=3), st.integers()),
    st.frozensets(st.integers(), max_size=3),
)
keys = st.one_of(
    st.sampled_from(KEYS), st.sampled_from([*WORKFLOW, "6.text", "Prompt.text"]), st.text(max_size=5), surrogates
)
any_keys = st.one_of(keys, st.integers(), st.none(), st.binary(max_size=3), st.tuples(st.integers()))
links = st.tuples(st.sampled_from([*WORKFLOW, "99", ""]), st.integers(-2, 5)).map(list)
values = st.recursive(
    st.one_of(scalars, odd, links),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(any_keys, inner, max_size=5)),
    max_leaves=20,
)

checked = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
many = settings(checked, max_examples=80)
some = settings(checked, max_examples=80)


def is_clear(error: InvalidInput) -> None:
    assert error.message.strip()
    assert len(error.message) < 3000
    assert len(error.details) <= 100
    # What the caller gets is JSON, whatever was sent.
    json.dumps([error.message, error.details], allow_nan=False).encode()
    error.message.encode()
    for detail in error.details:
        assert detail["message"].strip()
        assert detail["code"]
        assert detail["field"].encode()


def parsed(job: object) -> JobRequest | None:
    try:
        request = parse(job, LIMITS)
    except InvalidInput as error:
        is_clear(error)
        return None
    assert request.job_id
    assert is_job_folder(folder_of(request.job_id, KEY))
    assert isinstance(request.workflow, dict)
    assert 1 <= request.output.quality <= 100
    assert request.timeout_s is None or 0 < request.timeout_s <= 604_800
    assert all(fault_of_name(image.name) is None and image.source for image in request.images)
    json.dumps(request.extra_pnginfo, allow_nan=False).encode()
    return request


def verified(workflow: object, overrides: dict[str, Any] | None = None) -> Any:
    """The workflow after the check, as the handler does it; None when it was refused."""
    try:
        result = graph.check(workflow)
        if overrides:
            result = graph.check(graph.apply_overrides(result, overrides))
    except InvalidInput as error:
        is_clear(error)
        return None
    is_sendable(result)
    return result


def is_sendable(workflow: Any) -> None:
    """What ComfyUI 0.3.64 neither answers with 500 nor dies of (protocol notes, section 13)."""
    assert json.loads(json.dumps(workflow, allow_nan=False).encode()) == workflow
    assert workflow
    for node_id, node in workflow.items():
        assert isinstance(node_id, str)
        assert node.keys() <= {"class_type", "inputs", "_meta"}
        assert isinstance(node["class_type"], str)
        assert node["class_type"]
        assert isinstance(node["inputs"], dict)
        for name, value in node["inputs"].items():
            if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int:
                assert value[0] in workflow
                assert value[1] >= 0
            if name == "filename_prefix" and isinstance(value, str):
                assert ".." not in value
                assert not value.startswith("/")


@many
@given(values)
def test_any_value_as_job(job):
    parsed(job)


@many
@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=8), st.dictionaries(keys, values, max_size=4))
def test_any_fields_in_a_job(fields, envelope):
    request = parsed({**envelope, "input": {"workflow": WORKFLOW, **fields}})
    if request:
        verified(request.workflow, dict(request.overrides))


@some
@given(st.text(max_size=50) | values.map(repr) | st.dictionaries(keys, scalars).map(json.dumps))
def test_any_text_as_input(text):
    parsed({"input": text})


@some
@given(
    st.lists(st.dictionaries(st.sampled_from(["name", "image", "x"]), scalars | odd, max_size=3) | values, max_size=25)
)
def test_any_images(images):
    parsed({"input": {"workflow": WORKFLOW, "images": images}})


@many
@given(values)
def test_any_value_as_workflow(workflow):
    verified(workflow)


node_like = st.fixed_dictionaries(
    {},
    optional={
        "class_type": st.sampled_from(["A", "LoadImage", "SaveImage"]) | scalars,
        "inputs": st.dictionaries(keys, scalars | links | odd, max_size=4) | scalars,
        "_meta": st.dictionaries(st.just("title"), scalars) | scalars,
        "is_changed": values,
    },
)


@many
@given(st.dictionaries(st.sampled_from([*WORKFLOW, "1", "2"]), node_like, max_size=6))
def test_any_graph(workflow):
    verified(workflow)


def places(document: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything in the document."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    found = []
    for key, value in items:
        found.append((document, key))
        if isinstance(value, dict | list):
            found += places(value)
    return found


@many
@given(st.data())
def test_a_mutated_workflow(data):
    workflow = copy.deepcopy(WORKFLOW)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(workflow)))
        if data.draw(st.booleans()):
            container[key] = data.draw(values)
        elif isinstance(container, dict):
            container.pop(key, None)
        if not workflow:
            break
    verified(workflow)


@some
@given(
    st.dictionaries(st.sampled_from(["6.text", "Prompt.text", "3.seed", "9.filename_prefix", "99.x"]) | keys, values)
)
def test_any_overrides(overrides):
    verified(WORKFLOW, {key: value for key, value in overrides.items() if isinstance(key, str)})


@some
@given(st.text(max_size=30), st.dictionaries(st.text(max_size=10), st.text(min_size=1, max_size=10), max_size=4))
def test_rewriting_keeps_a_workflow_sound(folder, names):
    workflow = graph.check(WORKFLOW)
    bound, unused = graph.bind_files(graph.save_streamed_frames(workflow), names)
    assert set(unused) <= names.keys()
    prefixed, inserted = graph.bind_prefixes(bound, folder)
    ready = graph.force(prefixed, "nonce")
    assert ready.keys() == workflow.keys()
    assert not inserted
    assert ready["9"]["inputs"]["filename_prefix"] == f"{folder}/x/y"
    assert ready["3"]["inputs"]["model"] == ["4", 0]


def nothing_resolves(host: str, port: int) -> list[str]:
    raise OSError(f"{host}:{port} is out of bounds for a unit test")


def resolved(name: str, source: str) -> InputFile | None:
    resolver = InputResolver(InputPolicy(max_file_bytes=50_000, attempts=1, urls=False), lookup=nothing_resolves)
    with tempfile.TemporaryDirectory() as folder:
        try:
            (file,) = resolver.resolve([ImageSpec(name, source, "images.0")], Path(folder), CancelToken())
        except InvalidInput as error:
            is_clear(error)
            assert error.details[0]["field"].startswith("images.0")
            return None
        assert file.path.stat().st_size == file.size_bytes > 0
        return file


sources = st.one_of(
    st.text(max_size=60),
    surrogates,
    st.text(string.ascii_letters + string.digits + "+/= \n", max_size=200),
    st.builds(
        "{}{}".format, st.sampled_from(["data:", "data:image/png;base64,", "http://", "s3://"]), st.text(max_size=20)
    ),
)


@some
@given(st.sampled_from(["a.png", "b.mp4", "c"]), sources)
@example("a.png", "http://[::1")
def test_any_source(name, source):
    resolved(name, source)


@some
@given(st.binary(min_size=1, max_size=3000), st.sampled_from(["", "data:;base64,", "data:video/mp4;base64,"]))
def test_whatever_is_encoded_comes_back(content, prefix):
    # Not a list of other files, which would be refused.
    content = b"\0" + content
    file = resolved("clip.mp4", prefix + base64.b64encode(content).decode())
    assert file is not None
    assert file.size_bytes == len(content)


@some
@given(st.text(max_size=40) | surrogates)
def test_any_job_id_makes_a_folder(job_id):
    folder = folder_of(job_id, KEY)
    assert folder == Path(folder).name
    assert is_job_folder(folder)


def test_numbers_that_python_cannot_print():
    huge = 10**5000
    parsed({"id": huge, "input": {"workflow": {"1": huge}, "output_quality": huge, "timeout_s": huge, "force": huge}})
    parsed({huge: huge, "input": {huge: huge, "workflow": {huge: huge}, "overrides": {huge: huge}, "images": [huge]}})
    verified({huge: {"class_type": huge, "inputs": huge}})
    verified({"1": {"class_type": "A", "inputs": {"x": huge, "y": ["2", huge]}}, "2": {"class_type": "A"}})


@pytest.mark.parametrize("document", [WORKFLOW, {"prompt": WORKFLOW}])
def test_the_sound_workflow_is_not_refused(document):
    assert verified(document) == WORKFLOW
