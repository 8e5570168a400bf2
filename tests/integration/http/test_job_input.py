"""What a job was submitted with, as it may be shown: no secrets, no contents of files."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import sample_jobs
from support.api_rig import ApiRig, api_rig, workflow

SECRETS = ("key-of-comfy-org", "AKIA-ID", "secret-of-s3", "X-Amz-Signature", "user:password")
BUCKET = {
    "endpoint_url": "https://s3.example.com",
    "access_key_id": SECRETS[1],
    "secret_access_key": SECRETS[2],
    "bucket_name": "pictures",
}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiRig]:
    with api_rig(Path(tmp_path_factory.mktemp("rig"))) as rig:
        yield rig


def test_secrets_and_contents_are_left_out(rig: ApiRig) -> None:
    picture = base64.b64encode(sample_jobs.png()).decode()
    images = [
        {"name": "sent.png", "image": picture},
        {"name": "plain.png", "image": "https://example.com/plain.png"},
        {"name": "presigned.png", "image": f"https://example.com/a.png?{SECRETS[3]}=abc"},
        {"name": "login.png", "image": f"https://{SECRETS[4]}@example.com/a.png"},
    ]
    job_id = rig.run(images=images, comfy_org_api_key=SECRETS[0], s3=BUCKET, overrides={"1.steps": 3}, priority="high")
    answer = rig.get(f"/jobs/{job_id}/input")
    assert answer.json() == {
        "job_id": job_id,
        "input": {
            "workflow": workflow(),
            "overrides": {"1.steps": 3},
            "images": [
                {"name": "sent.png", "image": None},
                {"name": "plain.png", "image": "https://example.com/plain.png"},
                {"name": "presigned.png", "image": None},
                {"name": "login.png", "image": None},
            ],
        },
    }
    assert not [secret for secret in (*SECRETS, picture) if secret in answer.text]


def test_a_job_in_runpods_words_is_shown_alike(rig: ApiRig) -> None:
    body = {"input": {"workflow": workflow()}, "s3Config": {"accessId": SECRETS[1], "accessSecret": SECRETS[2]}}
    body["s3Config"] |= {"endpointUrl": "https://s3.example.com", "bucketName": "pictures"}
    job_id = rig.post("/v2/any/run", json=body).json()["id"]
    assert rig.get(f"/jobs/{job_id}/input").json() == {"job_id": job_id, "input": {"workflow": workflow()}}


def test_there_is_none_of_a_job_that_is_gone(rig: ApiRig) -> None:
    job_id = rig.ended(rig.run())
    assert rig.delete(f"/jobs/{job_id}").status_code == 200
    answer = rig.get(f"/jobs/{job_id}/input")
    assert (answer.status_code, answer.json()["code"]) == (404, "JOB_NOT_FOUND")
