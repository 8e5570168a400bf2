"""Rows of ComfyUI Deploy: what is kept of them, and values that are odd."""

from typing import Any

import pytest

from api.comfydeploy.inputs import checked
from api.comfydeploy.rows import KEPT, Deployment, InputType, Machine, Workflow, slim
from api.errors import InvalidInput
from api.standin.deploy.sample import sample_account

TOKEN = "the-token-of-a-machine"


def test_only_what_is_used_is_kept() -> None:
    account = sample_account()
    machine = {**account.machines[-1], "auth_token": TOKEN, "endpoint": "https://user:pass@box"}
    kept = slim(machine, KEPT["machines"])
    assert Machine.of(kept) == Machine.of(machine) and "auth_token" not in kept and "endpoint" not in kept
    for row in account.deployments:
        assert Deployment.of(slim(row, KEPT["deployments"])) == Deployment.of(row)
    for each in account.workflows:
        assert Workflow.of(slim(each.row(), KEPT["workflows"])) == Workflow.of(each.row())


@pytest.mark.parametrize("row", [{"id": "d", "workflow": 7, "input_types": {"a": 1}}, {"id": "d", "input_types": [7]}])
def test_odd_rows_stay_odd_and_no_more(row: dict[str, Any]) -> None:
    assert Deployment.of(slim(row, KEPT["deployments"])) == Deployment.of(row)


@pytest.mark.parametrize(
    ("low", "high", "value", "is_taken"),
    [
        # Without a range many say 0 and 0.
        (0, 0, -1, True),
        (0, 0, 9, True),
        (5, 1, 0, True),
        (0, 2, -1, False),
        (0, 2, 3, False),
        (None, 2, 3, False),
        (0, None, 10**400, True),
        (0, 10**400, -1, False),
        (0, 2**64, 10**400, False),
    ],
)
def test_ranges(low: int | None, high: int | None, value: int, is_taken: bool) -> None:
    row = {"input_id": "n", "type": "integer", "default_value": 1, "min_value": low, "max_value": high}
    given = InputType.of(row)
    if is_taken:
        assert checked([given], {"n": value}) == {"n": value}
        return
    with pytest.raises(InvalidInput) as refused:
        checked([given], {"n": value})
    assert refused.value.details[0]["code"] in {"too_small", "too_large"} and len(refused.value.message) < 500
