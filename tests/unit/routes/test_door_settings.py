"""The settings of the door: what they accept and what they come to."""

import pytest
from pydantic import SecretStr

from api.errors import InvalidSettings
from api.settings import Settings, load_settings, table


def test_several_keys_are_separated_by_commas() -> None:
    assert Settings(api_key=SecretStr(" one, two ,")).api_keys == ("one", "two")
    assert Settings().api_keys == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY", " , "),
        ("API_KEY", "with space"),
        ("API_KEY", "schlüssel"),
        ("ADMIN_API_KEY", ","),
        ("RATE_LIMIT", "fast"),
    ],
)
def test_what_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert caught.value.details[0]["field"] == name


def test_bodies_hold_the_largest_input_as_base64() -> None:
    assert Settings(max_input_total_mb=300).max_body_bytes > 300_000_000 * 4 / 3
    assert Settings(max_body_mb=5).max_body_bytes == 5_000_000


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.0/8")
    settings = load_settings()
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.forwarded_allow_ips == ("10.0.0.0/8",)


def test_keys_are_masked() -> None:
    settings = Settings(api_key=SecretStr("sk-one"), admin_api_key=SecretStr("sk-two"))
    assert "sk-" not in str(table(settings))


def test_the_port_has_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "3000")
    assert load_settings().api_port == 3000
    monkeypatch.setenv("API_PORT", "9000")
    assert load_settings().api_port == 9000
    monkeypatch.setenv("API_PORT", "")
    assert load_settings().api_port == 3000
    assert Settings(api_port=1).api_port == 1
    monkeypatch.setenv("PORT", "many")
    with pytest.raises(InvalidSettings, match="PORT"):
        load_settings()


def test_the_pause_between_clean_ups_has_two_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_CLEANUP_INTERVAL_S", "60")
    assert load_settings().cleanup_interval_s == 60
    monkeypatch.setenv("JOB_CLEANUP_INTERVAL", "600000")
    assert load_settings().cleanup_interval_s == 600
