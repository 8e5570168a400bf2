"""The comfyui-api the tests run against answers as the real one did (recorded from 1.18.0 around ComfyUI 0.3.64)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.salad_server import SaladServer
from support.standin_process import StandinProcess

RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data/salad/comfyui_api_1.18.0.jsonl").read_text().splitlines()
]


@pytest.fixture(scope="module")
def salad() -> Iterator[SaladServer]:
    with StandinProcess() as comfyui, SaladServer(comfyui) as server:
        yield server


@pytest.mark.parametrize("exchange", RECORDED, ids=lambda exchange: f"{exchange['method']} {exchange['path']}")
def test_it_answers_as_the_real_one(salad: SaladServer, exchange: dict[str, Any]) -> None:
    answer = requests.request(exchange["method"], salad.url + exchange["path"], json=exchange["request"], timeout=30)
    assert answer.status_code == exchange["status"]
    assert shape(answer.json()) == shape(exchange["response"])


def shape(value: Any) -> Any:
    """Keys and kinds; short texts as they are, unless they hold what differs from run to run."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items() if key not in {"nodes", "id"}}
    if isinstance(value, list):
        return [shape(item) for item in value]
    if isinstance(value, str):
        return value if len(value) < 40 and "_s" not in value else "text"
    return type(value).__name__
