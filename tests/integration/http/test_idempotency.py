"""Requests that are repeated under an Idempotency-Key."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api_rig import ApiRig, api_rig, workflow

from api.routes.auth import Guard

RUN = {"workflow": workflow()}
RUNPOD_RUN = {"input": {"workflow": workflow()}}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiRig]:
    with api_rig(tmp_path) as rig:
        yield rig


def key(value: str = "k-1") -> dict[str, str]:
    return {"Idempotency-Key": value}


@pytest.mark.parametrize(("path", "body"), [("/run", RUN), ("/run", RUNPOD_RUN), ("/v2/x/run", RUNPOD_RUN)])
@pytest.mark.parametrize("ended", [True, False])
def test_the_same_request_has_the_same_answer_and_makes_one_job(
    api: ApiRig, path: str, body: dict[str, object], ended: bool
) -> None:
    if not ended:
        api.hold()
    first = api.post(path, json=body, headers=key())
    assert "Idempotent-Replayed" not in first.headers
    if ended:
        api.ended(next(iter(first.json().values())))
    again = api.post(path, json=body, headers=key('"k-1"'))
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert api.get("/stats").json()["total_jobs"] == 1


def test_another_body_under_the_key_is_refused(api: ApiRig) -> None:
    api.post("/run", json=RUN, headers=key())
    other = api.post("/run", json={"workflow": workflow("fail")}, headers=key())
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    api.post("/v2/x/run", json=RUNPOD_RUN, headers=key("k-3"))
    elsewhere = api.post("/v2/x/runsync", json=RUNPOD_RUN, headers=key("k-3"))
    assert elsewhere.status_code == 422
    assert api.post("/run", json=RUN, headers=key("k-2")).headers.get("Idempotent-Replayed") is None


def test_runsync_replays_a_result_and_refuses_while_there_is_none(api: ApiRig) -> None:
    body = {"input": {"workflow": workflow("wait")}}
    first = api.post("/v2/x/runsync?wait=1000", json=body, headers=key()).json()
    assert first["status"] == "IN_PROGRESS"
    early = api.post("/v2/x/runsync?wait=1000", json=body, headers=key())
    assert (early.status_code, early.json()["code"]) == (409, "IDEMPOTENCY_KEY_IN_FLIGHT")
    assert early.headers["Retry-After"] == "1"
    api.core.released.set()
    api.ended(first["id"])
    again = api.post("/v2/x/runsync", json=body, headers=key())
    assert (again.json()["id"], again.json()["status"]) == (first["id"], "COMPLETED")
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_refused_request_does_not_use_up_the_key(api: ApiRig) -> None:
    assert api.post("/run", json={"workflow": []}, headers=key()).status_code == 400
    assert api.post("/run", json=RUN, headers=key()).status_code == 202


def test_a_full_queue_does_not_use_up_the_key(tmp_path: Path) -> None:
    with api_rig(tmp_path, max_queued=1) as api:
        api.hold()
        waiting = api.run()
        refused = api.post("/run", json=RUN, headers=key())
        assert (refused.status_code, refused.json()["code"]) == (429, "QUEUE_FULL")
        assert int(refused.headers["Retry-After"]) > 0
        api.post(f"/jobs/{waiting}/cancel")
        assert api.post("/run", json=RUN, headers=key()).status_code == 202


def test_callers_do_not_share_their_keys(tmp_path: Path) -> None:
    with api_rig(tmp_path, guard=Guard(["sk-one", "sk-two"])) as api:
        ids = {
            api.post("/run", json=RUN, headers={**key(), "X-API-Key": secret}).json()["job_id"]
            for secret in ("sk-one", "sk-two")
        }
        assert len(ids) == 2


@pytest.mark.parametrize("value", ["", '""', "x" * 256, "k\u00e4se"])
def test_what_is_no_key_is_refused(api: ApiRig, value: str) -> None:
    answer = api.post("/run", json=RUN, headers={"Idempotency-Key": value.encode("latin-1")})
    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "Idempotency-Key")
    assert api.get("/stats").json()["total_jobs"] == 0
