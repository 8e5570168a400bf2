"""WEBHOOK_SECRET as keys, and never shown."""

import base64

import pytest
from pydantic import SecretStr

from api.errors import InvalidSettings
from api.settings import Settings, load_settings, table

KEY = bytes(range(32))
WHSEC = "whsec_" + base64.b64encode(KEY).decode()


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        (WHSEC, (KEY,)),
        (WHSEC.rstrip("="), (KEY,)),
        ("any text", (b"any", b"text")),
        (f"{WHSEC}, old-one", (KEY, b"old-one")),
        (f" {WHSEC}\nold-one,", (KEY, b"old-one")),
    ],
)
def test_secrets_become_keys(monkeypatch: pytest.MonkeyPatch, value: str, keys: tuple[bytes, ...]) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", value)
    assert load_settings().webhook_keys == keys


def test_without_a_secret_there_are_no_keys() -> None:
    assert Settings().webhook_keys == ()


@pytest.mark.parametrize("value", ["whsec_", "whsec_hush!", "fine whsec_hush\N{EURO SIGN}"])
def test_a_broken_secret_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", value)
    with pytest.raises(InvalidSettings, match="WEBHOOK_SECRET: what follows whsec_ is not base64") as caught:
        load_settings()
    assert "hush" not in str(caught.value.details)


def test_the_table_masks_them_and_hosts_are_split() -> None:
    settings = Settings(webhook_secret=SecretStr("hush"), webhook_allowed_hosts="a.lan, b.lan")  # type: ignore[arg-type]
    assert settings.webhook_allowed_hosts == ("a.lan", "b.lan")
    assert "hush" not in str(table(settings))
