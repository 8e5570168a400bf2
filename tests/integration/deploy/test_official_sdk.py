"""The stand-in of ComfyUI Deploy, driven by the official SDK: what that takes for the real one, is like it."""

from collections.abc import Iterator
from typing import Any

import pytest
from comfydeploy import ComfyDeploy
from comfydeploy.models import errors
from pydantic import ValidationError
from support.deploy_process import KEY, DeployProcess
from support.waiting import wait_for

from api.standin.deploy.account import known_id


@pytest.fixture(scope="module")
def deploy() -> Iterator[DeployProcess]:
    with DeployProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def healthy(deploy: DeployProcess) -> Iterator[None]:
    yield
    deploy.healthy()


@pytest.fixture
def sdk(deploy: DeployProcess) -> Iterator[ComfyDeploy]:
    with ComfyDeploy(server_url=f"{deploy.url}/api", bearer=KEY) as client:
        yield client


DEPLOYMENT = known_id("deployment of text2img on gpu-a as production")


def queued(sdk: ComfyDeploy, **more: object) -> str:
    request = {"deployment_id": DEPLOYMENT, "inputs": {"prompt": "a dog", "seed": 3}, **more}
    return str(sdk.run.deployment.queue(request=request).create_run_response.run_id)


def looked_at(sdk: ComfyDeploy, run_id: str) -> Any:
    return sdk.run.get(run_id=run_id).workflow_run_model


def test_a_run_from_queue_to_picture(sdk: ComfyDeploy, deploy: DeployProcess) -> None:
    # What the servers of late 2025 send lacks a field the SDK insists on; those before have it.
    deploy.fault(old_rows=True)
    run_id = queued(sdk)
    run = wait_for(lambda: (found := looked_at(sdk, run_id)).status == "success" and found, "the run")
    assert run.progress == 1 and run.workflow_inputs == {"prompt": "a dog", "seed": 3}
    (output,) = run.outputs
    (image,) = output.data["images"]
    assert image.url.startswith(f"{deploy.url}/files/outputs/runs/{run_id}/") and image.filename == "out_00001_.png"


def test_rows_of_today_are_refused_by_the_sdk_for_want_of_the_graph(sdk: ComfyDeploy) -> None:
    run_id = queued(sdk)
    with pytest.raises(ValidationError, match="workflow_api"):
        sdk.run.get(run_id=run_id)


def test_a_cancel(sdk: ComfyDeploy, deploy: DeployProcess) -> None:
    deploy.fault(hold_runs=True)
    run_id = queued(sdk)
    sdk.run.cancel(run_id=run_id)
    assert deploy.api("GET", f"/run/{run_id}").json()["status"] == "cancelled"


def test_errors_are_those_the_sdk_knows(sdk: ComfyDeploy, deploy: DeployProcess) -> None:
    with pytest.raises(errors.SDKError) as missing:
        sdk.run.deployment.queue(request={"deployment_id": "00000000-0000-0000-0000-000000000000"})
    assert missing.value.status_code == 404 and "Deployment not found" in missing.value.body
    with pytest.raises(errors.HTTPValidationError) as malformed:
        sdk.run.deployment.queue(request={"deployment_id": "zzz"})
    assert malformed.value.data.detail[0].loc == ["body", "deployment_id"]
    with pytest.raises(errors.SDKError) as unknown:
        sdk.run.cancel(run_id="00000000-0000-0000-0000-000000000000")
    assert unknown.value.status_code == 500
    with (
        ComfyDeploy(server_url=f"{deploy.url}/api", bearer="wrong") as stranger,
        pytest.raises(errors.SDKError) as refused,
    ):
        stranger.run.deployment.queue(request={"deployment_id": DEPLOYMENT})
    assert refused.value.status_code == 401


def test_the_sdk_waits_as_a_limit_asks(sdk: ComfyDeploy, deploy: DeployProcess) -> None:
    from comfydeploy.utils import BackoffStrategy, RetryConfig

    deploy.fault(http_429="/run/deployment/queue:2", retry_after=0)
    retries = RetryConfig("backoff", BackoffStrategy(1, 5, 1.1, 10_000), retry_connection_errors=False)
    assert sdk.run.deployment.queue(request={"deployment_id": DEPLOYMENT}, retries=retries).create_run_response
