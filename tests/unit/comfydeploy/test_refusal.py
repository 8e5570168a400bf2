"""What answers that are no success come to, whatever is in them."""

import json

import pytest

from api.comfydeploy.refusal import refusal, said_of
from api.deploy_errors import DeployNotFound, DeployRefused
from api.errors import InvalidInput

PAGES = [b"<html>nginx</html>", b"", b"7", b"[]", b'{"detail": 7}', b'{"detail": [7]}', b"[" * 100_000, b"\xff\xfe"]


@pytest.mark.parametrize("body", PAGES)
@pytest.mark.parametrize(
    ("status", "kind"), [(400, DeployRefused), (404, DeployNotFound), (422, InvalidInput), (302, DeployRefused)]
)
def test_any_page_is_an_error_of_ours(status: int, kind: type[Exception], body: bytes) -> None:
    error = refusal(status, body, said_of(body), "/run/deployment/queue")
    assert isinstance(error, kind) and len(error.message) < 500


def test_findings_are_told_by_their_fields() -> None:
    rows = [
        {"loc": ["body", "inputs", "seed"], "msg": "Input should be a valid integer", "type": "int_parsing"},
        {"loc": "odd", "msg": 7, "type": None},
        "odd",
    ]
    body = json.dumps({"detail": rows}).encode()
    error = refusal(422, body, said_of(body), "/run")
    assert [(each["field"], each["code"]) for each in error.details] == [
        ("deployment.inputs.seed", "int_parsing"),
        ("deployment", "None"),
    ]


def test_secrets_of_an_answer_stay_where_they_are() -> None:
    body = b'{"detail": "no access with token=abcdef0123456789 at https://x/y?sig=secret"}'
    said = said_of(body)
    assert "abcdef0123456789" not in said and "secret" not in said
