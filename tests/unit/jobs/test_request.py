import json
import uuid
from typing import Any

import pytest

from api.errors import InputTooLarge, InvalidInput
from api.jobs.request import ImageSpec, Limits, OutputOptions, S3Config, parse

WORKFLOW = {"1": {"class_type": "EmptyImage", "inputs": {}}}
LIMITS = Limits(max_images=3, max_input_bytes=1000)


def request(**fields: Any):
    return parse({"id": "job-1", "input": {"workflow": WORKFLOW, **fields}}, LIMITS)


def refusal(job: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse(job, LIMITS)
    return caught.value


def finding(field: str, **fields: Any) -> dict[str, Any]:
    error = refusal({"input": {"workflow": WORKFLOW, **fields}})
    assert [detail["field"] for detail in error.details] == [field]
    assert error.details[0]["message"] in error.message
    return error.details[0]


def test_the_least_job_gets_defaults():
    parsed = parse({"id": "abc", "input": {"workflow": WORKFLOW}}, LIMITS)
    assert (parsed.job_id, parsed.workflow, parsed.images, parsed.s3) == ("abc", WORKFLOW, (), None)
    assert parsed.output == OutputOptions(format=None, quality=90, metadata=None, delivery=None, include_temp=False)
    assert not (parsed.force or parsed.receipt or parsed.timings)
    assert parsed.timeout_s is None
    assert parsed.comfy_org_api_key is None


def test_input_may_be_json_text():
    assert parse({"input": json.dumps({"workflow": WORKFLOW})}, LIMITS).workflow == WORKFLOW


def test_prompt_is_an_alias_of_workflow():
    assert parse({"input": {"prompt": WORKFLOW}}, LIMITS).workflow == WORKFLOW


def test_nulls_count_as_absent():
    fields = ["images", "overrides", "force", "output_format", "output_quality", "s3", "timeout_s", "extra_pnginfo"]
    assert request(**dict.fromkeys(fields)) == request()


def test_unknown_keys_are_ignored():
    parsed = request(images=[{"name": "a.png", "image": "aGk=", "type": "input", "overwrite": True}], mode="fast")
    assert parsed.images == (ImageSpec("a.png", "aGk=", "images.0"),)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("output_fromat", "output_format"),
        ("outputFormat", "output_format"),
        ("overide", "overrides"),
        ("image", "images"),
        ("timeout", "timeout_s"),
        ("api_key_comfyorg", "api_key_comfy_org"),
    ],
)
def test_a_key_that_is_nearly_a_field_is_remarked_on(key, nearest):
    (remark,) = request(**{key: "x"}).remarks
    assert (remark["field"], remark["code"], remark["nearest"]) == (key, "unknown_field", [nearest])
    assert f"did you mean {nearest}?" in remark["message"]


def test_misspelled_keys_beside_the_input_and_in_buckets_are_remarked_on():
    bucket = {"endpointUrl": "https://minio/pics", "accessId": "a", "accessSecret": "b"}
    job = {"id": "1", "s3config": {}, "s3Config": {**bucket, "bucket_nam": "x"}}
    parsed = parse({**job, "input": {"workflow": WORKFLOW, "s3": {**bucket, "Region": "x"}}}, LIMITS)
    assert [remark["field"] for remark in parsed.remarks] == ["s3config", "s3Config.bucket_nam", "s3.Region"]


@pytest.mark.parametrize("key", ["mode", "prompt_id", "seed", "webhook", "x" * 41, "worker_flow_name"])
def test_keys_that_are_somebody_elses_are_not_remarked_on(key):
    assert request(**{key: "x"}).remarks == ()
    assert parse({key: "x", "input": {"workflow": WORKFLOW}}, LIMITS).remarks == ()


def test_a_misspelled_workflow_explains_the_missing_one():
    error = refusal({"input": {"worklow": WORKFLOW}})
    assert [(detail["field"], detail["code"]) for detail in error.details] == [
        ("workflow", "missing"),
        ("worklow", "unknown_field"),
    ]
    assert "did you mean workflow?" in error.message


def test_very_many_unknown_keys_take_no_time():
    assert len(request(**{f"workflo{n}": 1 for n in range(50_000)}).remarks) <= 100


@pytest.mark.parametrize("flag", [True, False])
def test_flags_are_no_numbers(flag):
    assert finding("output_quality", output_quality=flag)["message"] == (
        "output_quality must be a whole number, not true or false."
    )
    assert finding("timeout_s", timeout_s=flag)["code"] == "wrong_type"
    error = refusal({"input": {"workflow": WORKFLOW}, "policy": {"executionTimeout": flag}})
    assert error.details[0]["field"] == "policy.executionTimeout"


@pytest.mark.parametrize("job_id", [None, ""])
def test_a_job_without_id_gets_a_uuid(job_id):
    parsed = parse({"id": job_id, "input": {"workflow": WORKFLOW}}, LIMITS)
    assert str(uuid.UUID(parsed.job_id)) == parsed.job_id


def test_a_numeric_id_is_taken_as_text():
    assert parse({"id": 17, "input": {"workflow": WORKFLOW}}, LIMITS).job_id == "17"


@pytest.mark.parametrize("job_id", [[1], {"a": 1}, True, "x" * 257, "a\nb"])
def test_ids_that_are_no_ids(job_id):
    assert refusal({"id": job_id, "input": {"workflow": WORKFLOW}}).details[0]["field"] == "id"


@pytest.mark.parametrize("key", ["comfy_org_api_key", "api_key_comfy_org"])
def test_both_spellings_of_the_comfy_org_key(key):
    parsed = request(**{key: "comfyui-secret"})
    assert parsed.comfy_org_api_key == "comfyui-secret"
    assert "comfyui-secret" not in repr(parsed)


@pytest.mark.parametrize("given", ["jpg", "JPEG", " jpeg "])
def test_output_format_is_lenient_in_spelling(given):
    assert request(output_format=given).output.format == "jpeg"


def test_options_arrive():
    parsed = request(output_format="webp", output_quality="80", metadata="Strip", delivery="s3", include_temp=True)
    assert parsed.output == OutputOptions("webp", 80, "strip", "s3", True)


OURS = {"endpoint_url": "https://s3.example", "access_key_id": "AK-1", "secret_access_key": "SK-2"}
RUNPODS = {"endpointUrl": "https://s3.example", "accessId": "AK-1", "accessSecret": "SK-2", "bucketName": "b"}


@pytest.mark.parametrize("config", [OURS | {"bucket_name": "b"}, RUNPODS])
def test_s3_in_both_spellings(config):
    expected = S3Config("https://s3.example", "AK-1", "SK-2", bucket_name="b")
    assert request(s3=config).s3 == expected
    assert parse({"input": {"workflow": WORKFLOW}, "s3Config": config}, LIMITS).s3 == expected


def test_the_inputs_own_bucket_wins():
    other = RUNPODS | {"endpointUrl": "https://other.example"}
    assert parse({"input": {"workflow": WORKFLOW, "s3": OURS}, "s3Config": other}, LIMITS).s3.endpoint_url == (
        "https://s3.example"
    )


def test_secrets_are_not_in_repr():
    text = repr(request(s3=OURS, images=[{"name": "a", "image": "c2VjcmV0"}], extra_pnginfo={"k": "hidden"}))
    assert not any(secret in text for secret in ("AK-1", "SK-2", "c2VjcmV0", "hidden"))


def test_half_an_s3_config_names_what_is_missing_as_it_was_written():
    error = refusal({"input": {"workflow": WORKFLOW}, "s3Config": {"accessSecret": "hush"}})
    assert {detail["field"] for detail in error.details} == {"s3Config.endpointUrl", "s3Config.accessId"}
    assert "hush" not in str(error.details) + error.message


@pytest.mark.parametrize("empty", [None, {}])
def test_an_empty_s3_config_of_the_platform_is_none(empty):
    assert parse({"input": {"workflow": WORKFLOW}, "s3Config": empty, "policy": empty}, LIMITS).s3 is None


@pytest.mark.parametrize(
    ("timeout_s", "policy_ms", "expected"),
    [(None, None, None), (5, None, 5), (None, 9000, 9), (5, 9000, 5), (20, 9000, 9), (5, 0, 5), (None, 0, None)],
)
def test_the_shorter_time_limit_counts(timeout_s, policy_ms, expected):
    job = {"input": {"workflow": WORKFLOW, "timeout_s": timeout_s}, "policy": {"executionTimeout": policy_ms}}
    assert parse(job, LIMITS).timeout_s == expected


@pytest.mark.parametrize("policy_ms", [1, 4999.9])
def test_a_policy_shorter_than_runpods_shortest_is_refused(policy_ms):
    error = refusal({"input": {"workflow": WORKFLOW}, "policy": {"executionTimeout": policy_ms}})
    (detail,) = error.details
    assert (detail["field"], detail["code"]) == ("policy.executionTimeout", "out_of_range")
    assert "5000" in detail["message"] and "timeout_s" in detail["message"]


@pytest.mark.parametrize("job", [None, "x", 3, [], [{"input": {}}], b"{}", object()])
def test_a_job_that_is_no_object(job):
    assert "must be an object" in refusal(job).message


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({}, "input must be an object, not null"),
        ({"workflow": WORKFLOW}, 'under "input"'),
        ({"input": [1]}, "not a list"),
        ({"input": "{"}, "not valid JSON"),
        ({"input": "[1]"}, "not a list"),
        ({"input": WORKFLOW}, "The workflow stands where the job is to be"),
        ({"input": {"input": {"workflow": WORKFLOW}}}, "another input"),
        ({"input": {}}, "workflow is missing: send the workflow in API format"),
        ({"input": {"workflow": None}}, "workflow is missing"),
        ({"input": {"workflow": "{}"}}, "send the JSON itself, not its text"),
        ({"input": {"workflow": []}}, "must be an object, not a list"),
    ],
)
def test_mistakes_in_the_outline_are_explained(job, said):
    assert said in refusal(job).message


@pytest.mark.parametrize(
    ("field", "fields", "said"),
    [
        ("images", {"images": {"a.png": "aGk="}}, 'send a list of {"name"'),
        ("images.0", {"images": ["a.png"]}, "must be an object, not a string"),
        ("images.0.name", {"images": [{"image": "aGk="}]}, "the file name that the workflow uses"),
        ("images.0.image", {"images": [{"name": "a"}]}, "base64, a data URI or an http(s) or s3 URL"),
        ("images.0.image", {"images": [{"name": "a", "image": ""}]}, "is empty"),
        ("images.0.image", {"images": [{"name": "a", "image": "x\ud800"}]}, "not text"),
        ("force", {"force": "perhaps"}, "true or false, not 'perhaps'"),
        ("output_format", {"output_format": "tiff"}, "'png', 'jpeg' or 'webp', not 'tiff'"),
        ("output_quality", {"output_quality": 0}, "greater than or equal to 1"),
        ("output_quality", {"output_quality": 2.5}, "a whole number"),
        ("timeout_s", {"timeout_s": float("nan")}, "finite number, not 'nan'"),
        ("timeout_s", {"timeout_s": 1e9}, "less than or equal to 604800"),
        ("overrides", {"overrides": [1]}, "6.text"),
        ("api_key_comfy_org", {"api_key_comfy_org": 5}, "must be a string"),
        ("extra_pnginfo", {"extra_pnginfo": {"workflow": [float("inf")]}}, "workflow.0"),
        ("extra_pnginfo", {"extra_pnginfo": {"ключ": 1}}, "a PNG cannot hold"),
    ],
)
def test_each_field_says_what_it_wants(field, fields, said):
    assert said in finding(field, **fields)["message"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("[" * 100_000, "too deep"), ("9" * 5000, "too many digits"), ("[" + "[]," * 130_000, "more than 250,000 values")],
)
def test_json_text_that_python_cannot_read(text, said):
    with pytest.raises(InvalidInput, match=said):
        parse({"input": text}, Limits())


def test_all_findings_come_at_once():
    error = refusal(
        {
            "id": [],
            "policy": {"executionTimeout": "soon"},
            "input": {"workflow": 1, "images": [{"name": "../x"}], "metadata": "burn"},
        }
    )
    assert {detail["field"] for detail in error.details} == {
        "id",
        "policy.executionTimeout",
        "workflow",
        "images.0.name",
        "images.0.image",
        "metadata",
    }
    assert error.message.endswith("(and 3 more)")


def test_harmless_values_are_quoted_and_cut():
    assert finding("metadata", metadata="x" * 500)["received"] == "x" * 79 + "…"
    assert finding("output_quality", output_quality=900)["received"] == 900


def test_secrets_and_content_are_never_quoted():
    bad = {"images": [{"name": "a.png", "image": ["SECRET"]}], "comfy_org_api_key": ["SECRET"], "s3": "SECRET"}
    error = refusal({"input": {"workflow": "SECRET", **bad}})
    assert len(error.details) == 4
    assert "SECRET" not in error.message + str(error.details)


def test_too_many_images():
    with pytest.raises(InputTooLarge, match="takes 3"):
        request(images=[{"name": f"{index}.png", "image": "aGk="} for index in range(4)])


def test_too_much_inline_content():
    with pytest.raises(InputTooLarge, match="MAX_INPUT_TOTAL_MB"):
        request(images=[{"name": "a", "image": "x" * 800}, {"name": "b", "image": "x" * 800}])


def test_too_much_json_text_is_not_even_read():
    with pytest.raises(InputTooLarge):
        parse({"input": "[" * 2000}, LIMITS)


def test_what_base64_adds_is_not_counted():
    assert request(images=[{"name": "a", "image": "x" * 1380}]).images
