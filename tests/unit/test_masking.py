"""Credentials are taken out of values of any shape."""

import json
import logging

import pytest

from api import logs
from api.masking import mask, masked

SECRETS = {
    "url query": "GET https://b.s3.amazonaws.com/k.png?X-Amz-Signature=0a1b2c3dS3CRET&x=1",
    "header": {"headers": {"Authorization": "Bearer S3CRETS3CRET"}},
    "named": {"config": {"aws_secret": "S3CRET", "webhook_secret": ["S3CRET"]}},
    "list": ["ok", ("password=S3CRET1",)],
    "user": "postgresql://user:S3CRET@db/x",
    "azure": "https://x.blob.core.windows.net/a and sig=S3CRET",
    "object": ValueError("token: S3CRET"),
    "key": {"https://user:S3CRET@x.y/": 1},
    "deep": [[[[[[[[[["api_key=S3CRET"]]]]]]]]]],
}


@pytest.mark.parametrize("value", SECRETS.values(), ids=SECRETS)
def test_no_secret_stays_in(value: object) -> None:
    assert "S3CRET" not in json.dumps(masked(value))


def test_what_is_no_secret_stays() -> None:
    value = {"job_id": "a", "count": 3, "ratio": 0.5, "none": None, "on": True, "list": [1, "two"], "tokens": 77}
    assert masked(value) == value


def test_log_events_are_masked_throughout(capfd: pytest.CaptureFixture[str]) -> None:
    root, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        logs.configure("info", "json")
        logs.get_logger().info("Told", details=[{"message": "Bearer S3CRETS3CRET"}], api_key="S3CRET", n=1)
        logging.getLogger("somebody").warning("at https://x.y/z?token=%s", "S3CRET")
        told = capfd.readouterr().err
    finally:
        logging.getLogger().handlers[:] = root
        logging.getLogger().setLevel(level)
    assert "Told" in told
    assert "S3CRET" not in told
    assert "at https://x.y/z?***" in told


def test_a_long_text_is_masked_in_a_moment() -> None:
    assert len(mask("a=b&" * 50_000)) == 200_000
