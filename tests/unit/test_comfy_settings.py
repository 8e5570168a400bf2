"""The settings of /api/comfy, and which of two names for one thing counts."""

from typing import Any

import pytest

from api.comfy_pool import probe_interval_s, reconnection
from api.errors import InvalidSettings
from api.settings import Settings, load_settings


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:8188"),
        ({"COMFY_API_URL": "http://gpu:8189/"}, "http://gpu:8189"),
        ({"COMFY_API_URL": "http://gpu:8189", "COMFYUI_HOST": "other:1"}, "http://other:1"),
        ({"COMFY_API_URL": "http://gpu:8189", "COMFY_HOST": "first:1"}, "http://first:1"),
    ],
)
def test_the_address_of_comfyui(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], url: str) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert load_settings().comfy_url == url


@pytest.mark.parametrize(
    ("given", "seconds"),
    [({}, 30), ({"COMFY_TIMEOUT": "7"}, 7), ({"COMFY_TIMEOUT": "7", "COMFY_READ_TIMEOUT_S": "8"}, 8)],
)
def test_the_wait_for_an_answer(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], seconds: float) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert load_settings().comfy_read_timeout_s == seconds


def test_the_rate_of_files_may_be_off_and_has_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().comfy_view_rate == "20/second"
    monkeypatch.setenv("COMFY_VIEW_RATE", "Off")
    assert load_settings().comfy_view_rate is None
    monkeypatch.setenv("COMFY_VIEW_RATE", "often")
    with pytest.raises(InvalidSettings, match="COMFY_VIEW_RATE"):
        load_settings()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 1),
        ({"comfy_health_interval_s": 20}, 20),
        ({"comfy_probe_interval_s": 90}, 60),
        ({"comfy_probe_interval_s": 2, "comfy_health_interval_s": 20}, 2),
    ],
)
def test_how_often_a_comfyui_is_looked_at(given: dict[str, Any], seconds: float) -> None:
    assert probe_interval_s(Settings(**given)) == seconds


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (5, 0.5, 3)),
        ({"comfy_reconnect_max_attempts": 2, "comfy_reconnect_max_delay_s": 30}, (2, 0.5, 30)),
        ({"websocket_reconnect_attempts": 9, "comfy_reconnect_max_attempts": 2}, (9, 0.5, 3)),
        ({"websocket_reconnect_delay_s": 0.2, "comfy_reconnect_max_delay_s": 30}, (5, 0.2, 0.2)),
    ],
)
def test_how_a_lost_socket_is_tried_again(given: dict[str, Any], expected: tuple[int, float, float]) -> None:
    assert reconnection(Settings(**given)) == expected
