"""Settings: read from the environment once, refused with the variable's name, never shown with secrets."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.errors import InvalidSettings
from api.settings import Settings, load_settings, table

README = Path(__file__).resolve().parents[2] / "README.md"


def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBSOCKET_RECONNECT_ATTEMPTS", "many")
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert "WEBSOCKET_RECONNECT_ATTEMPTS" in caught.value.message
    assert caught.value.details[0]["field"] == "WEBSOCKET_RECONNECT_ATTEMPTS"


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_IMAGES", "0")
    monkeypatch.setenv("LOG_FORMAT", "xml")
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert {detail["field"] for detail in caught.value.details} == {"MAX_IMAGES", "LOG_FORMAT"}
    assert "'json'" in caught.value.message


def test_a_bad_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET_ENDPOINT_URL", "https://user:hunter2@s3.example.com")
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert "hunter2" not in caught.value.message


def test_half_an_s3_configuration_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET_ENDPOINT_URL", "https://bucket.s3.eu-west-1.amazonaws.com")
    with pytest.raises(InvalidSettings, match="BUCKET_ACCESS_KEY_ID, BUCKET_SECRET_ACCESS_KEY missing"):
        load_settings()


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_TIMEOUT", "")
    assert load_settings().job_timeout is None


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("10.0.0.5:8188", "http://10.0.0.5:8188"),
        ("https://comfy.example.com/", "https://comfy.example.com"),
    ],
)
def test_comfy_host_may_be_a_url(given: str, url: str) -> None:
    assert Settings(comfy_host=given).comfy_url == url


def test_the_table_masks_secrets() -> None:
    settings = Settings(comfy_org_api_key=SecretStr("sk-very-secret"))
    assert "sk-very-secret" not in str(table(settings))
    assert ("COMFY_ORG_API_KEY", "********") in {row[:2] for row in table(settings)}


def test_the_readme_lists_exactly_these_settings() -> None:
    begin, end = "<!-- settings:begin -->", "<!-- settings:end -->"
    block = README.read_text(encoding="utf-8").split(begin)[1].split(end)[0]
    listed = re.findall(r"^\| `([A-Z0-9_]+)` \| (.+?) \| (.+?) \|$", block, re.MULTILINE)
    wanted = [
        (name, f"`{default}`" if default != "–" else "–", meaning) for name, _, default, meaning in table(Settings())
    ]
    assert listed == wanted
