"""The three forms a job may come in, and what the client makes of each."""

from typing import Any

import pytest

from api.client_inputs import JobUnusable, completed, job_of, own_or_runpods

WORKFLOW = {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
IMAGES = [{"name": "a.png", "image": "eA=="}]


@pytest.mark.parametrize(
    ("content", "job"),
    [
        (WORKFLOW, {"input": {"workflow": WORKFLOW}}),
        ({"workflow": WORKFLOW, "images": IMAGES}, {"input": {"workflow": WORKFLOW, "images": IMAGES}}),
        ({"prompt": WORKFLOW, "force": True}, {"input": {"prompt": WORKFLOW, "force": True}}),
        ({"workflow_name": "resize", "inputs": {}}, {"input": {"workflow_name": "resize", "inputs": {}}}),
        ({"input": {"workflow": WORKFLOW}, "id": "7"}, {"input": {"workflow": WORKFLOW}, "id": "7"}),
        ({"input": None, "workflow": WORKFLOW}, {"input": {"workflow": WORKFLOW}}),
        ({"nodes": [], "links": []}, {"input": {"workflow": {"nodes": [], "links": []}}}),
        ([1], {"input": {"workflow": [1]}}),
    ],
)
def test_every_form_is_told_apart(content: Any, job: dict[str, Any]):
    assert job_of(content) == job


@pytest.mark.parametrize("key", ["input", "workflow", "prompt"])
def test_a_node_may_be_called_as_a_field_is(key: str):
    content = {key: WORKFLOW["1"], "2": WORKFLOW["1"]}
    assert job_of(content) == {"input": {"workflow": content}}


def test_what_is_given_goes_before_what_the_job_says():
    content = {"workflow": WORKFLOW, "images": [*IMAGES, {"name": "b", "image": "s3://b/c"}], "overrides": {"1.x": 1}}
    more = [{"name": "a.png", "image": "eQ=="}]
    given, beside = completed(
        {**content, "priority": "low"}, more, {"1.x": 2, "1.y": 3}, {"priority": "high", "gpu": None}
    )
    assert given["images"] == [{"name": "b", "image": "s3://b/c"}, *more]
    assert (given["overrides"], given["priority"], beside) == ({"1.x": 2, "1.y": 3}, "high", {})
    assert content["overrides"] == {"1.x": 1}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"input": [1]}, "must be an object"),
        ({"input": "{"}, "not JSON"),
        ({"workflow": WORKFLOW, "images": {"a.png": "eA=="}}, "images of the job must be a list"),
        ({"workflow": WORKFLOW, "overrides": ["1.x"]}, "overrides of the job must be"),
    ],
)
def test_what_cannot_be_added_to_is_told(content: Any, told: str):
    with pytest.raises(JobUnusable, match=told):
        completed(content, IMAGES, {"1.x": 1}, {})


def test_runpods_form_stays_as_it_is():
    beside = {"webhook": "https://x/y", "policy": {"lowPriority": True}, "s3Config": {"bucketName": "b"}}
    content = {"input": {"workflow": WORKFLOW}, **beside}
    assert own_or_runpods(*completed(content, [], {}, {})) == content
    assert own_or_runpods(*completed({"input": {"workflow": WORKFLOW}}, [], {}, {})) == {"workflow": WORKFLOW}


def test_where_it_lacks_words_the_worker_s_own_are_used():
    policy = {"lowPriority": True, "ttl": 5000, "executionTimeout": 60_000}
    beside = {"policy": policy, "s3Config": {"bucketName": "b"}, "labels": {"a": "b"}, "webhook": "https://x/y"}
    content = {"input": {"workflow": WORKFLOW, "timeout_s": 90}, **beside}
    meant = {"workflow": WORKFLOW, "timeout_s": 60, "ttl_s": 5, "s3": {"bucketName": "b"}, "labels": {"a": "b"}}
    body = own_or_runpods(*completed(content, [], {}, {}))
    assert body == {**meant, "priority": "low", "webhook": "https://x/y"}
    assert own_or_runpods(*completed(content, [], {}, {"priority": "high"}))["priority"] == "high"
