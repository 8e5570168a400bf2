"""Inputs that wedge or kill a real 0.3.64 do the same here."""

import json
import math
from typing import Any

import pytest
import requests
from support.standin_client import Listen, picture, post, wait_history, where
from support.standin_process import StandinProcess
from support.waiting import wait_for

WORKER_DEAD = "Exception in thread Thread-1 (prompt_worker)"


def is_wedged(comfyui: StandinProcess, prompt_id: str) -> bool:
    """The prompt stays running, a good one after it stays pending, HTTP goes on."""
    assert post(comfyui.url, picture(), prompt_id="after").status_code == 200
    return where(comfyui.url, prompt_id) == "running" and where(comfyui.url, "after") == "pending"


def wait_for_log(comfyui: StandinProcess, text: str) -> str:
    """What it has printed; GET /internal/logs keeps 300 writes, and a traceback of Python 3.11 is more than that."""
    wait_for(lambda: text in comfyui.log, f"{text!r} in the log")
    return comfyui.log


@pytest.mark.parametrize(
    ("unneeded", "error"),
    [
        ({"class_type": "EmptyImage"}, "KeyError: 'inputs'"),
        ({"class_type": "EmptyImage", "inputs": None}, "'NoneType' object has no attribute 'keys'"),
    ],
)
def test_an_unneeded_node_without_inputs_kills_the_worker(
    comfyui: StandinProcess, unneeded: dict[str, Any], error: str
):
    answer = post(comfyui.url, picture() | {"9": unneeded}, prompt_id="bad")
    assert answer.json()["node_errors"] == {}
    assert WORKER_DEAD in wait_for_log(comfyui, error)
    assert is_wedged(comfyui, "bad")
    assert WORKER_DEAD in comfyui.log
    entries = requests.get(f"{comfyui.url}/internal/logs/raw", timeout=5).json()["entries"]
    assert any("in _work" in entry["m"] for entry in entries), "its headline may be pushed out by its traceback"


def test_extra_data_null_kills_the_worker(comfyui: StandinProcess):
    assert post(comfyui.url, picture(), extra_data=None, prompt_id="bad").status_code == 200
    wait_for_log(comfyui, "TypeError: argument of type 'NoneType' is not iterable")
    assert is_wedged(comfyui, "bad")


def test_extra_data_null_with_a_client_is_500_before_queueing(comfyui: StandinProcess):
    assert post(comfyui.url, picture(), extra_data=None, client_id="c").status_code == 500
    assert post(comfyui.url, picture()).json()["number"] == 1


@pytest.mark.parametrize(("extra_data", "kind"), [([], "list"), ("str", "str")])
def test_other_extra_data_is_only_an_error_of_the_prompt(comfyui: StandinProcess, extra_data: Any, kind: str):
    post(comfyui.url, picture(), extra_data=extra_data, prompt_id="bad")
    last, told = wait_history(comfyui.url, "bad")["status"]["messages"][-1]
    assert last == "execution_error"
    assert told["exception_message"] == f"'{kind}' object has no attribute 'get'\n"
    assert told["node_id"] == "2"
    post(comfyui.url, picture(), prompt_id="after")
    assert wait_history(comfyui.url, "after")["status"]["completed"] is True


@pytest.mark.parametrize("client_id", [[], {}])
def test_an_unhashable_client_id_ends_the_process(comfyui: StandinProcess, client_id: Any):
    assert post(comfyui.url, picture(), client_id=client_id).status_code == 200
    assert comfyui.wait_exit() == 1
    assert "unhashable type" in comfyui.log


def test_a_client_id_that_is_a_number_is_survived(comfyui: StandinProcess):
    post(comfyui.url, picture(), client_id=5, prompt_id="a")
    assert wait_history(comfyui.url, "a")["status"]["completed"] is True


def raising(kind: str) -> dict[str, Any]:
    node = {"class_type": "RecRaise", "inputs": {"image": ["1", 0], "kind": kind, "message": "x"}}
    return {
        "1": picture()["1"],
        "2": picture()["2"] | {"inputs": {"images": ["3", 0], "filename_prefix": "x"}},
        "3": node,
    }


@pytest.mark.parametrize("kind", ["SystemExit", "BaseException"])
def test_base_exceptions_kill_the_worker(comfyui: StandinProcess, listen: Listen, kind: str):
    with_client = listen("c")
    post(comfyui.url, raising(kind), prompt_id="bad", client_id="c")
    while with_client.hear()["type"] != "executing":
        """Node 3 is next."""
    if kind == "BaseException":
        wait_for_log(comfyui, "BaseException: x")
    assert is_wedged(comfyui, "bad")
    # SystemExit leaves not even a log line.
    assert (WORKER_DEAD in comfyui.log) is (kind == "BaseException")


BAD_UI = {"1": picture()["1"], "2": {"class_type": "RecBadUI", "inputs": {"image": ["1", 0]}}}


def test_ui_that_is_no_json_ends_the_process_when_somebody_listens(comfyui: StandinProcess, listen: Listen):
    listen("c")
    post(comfyui.url, BAD_UI, client_id="c")
    assert comfyui.wait_exit() == 1


def test_ui_that_is_no_json_poisons_history_when_nobody_listens(comfyui: StandinProcess):
    post(comfyui.url, BAD_UI, prompt_id="bad")
    post(comfyui.url, picture(), prompt_id="good")
    wait_history(comfyui.url, "good")
    for path in ("/history", "/history/bad"):
        assert requests.get(comfyui.url + path, timeout=5).status_code == 500
    requests.post(f"{comfyui.url}/history", json={"delete": ["bad"]}, timeout=5)
    assert list(requests.get(f"{comfyui.url}/history", timeout=5).json()) == ["good"]


def test_equal_number_and_id_are_500_yet_run(comfyui: StandinProcess):
    comfyui.set_fault("slow_execute", 200)
    post(comfyui.url, picture(), prompt_id="blocker")
    assert post(comfyui.url, picture(1), prompt_id="same", number=5).status_code == 200
    assert post(comfyui.url, picture(2), prompt_id="same", number=5).status_code == 500
    pending = requests.get(f"{comfyui.url}/queue", timeout=5).json()["queue_pending"]
    assert [item[1] for item in pending] == ["same", "same"]


def test_odd_values_are_survived(comfyui: StandinProcess):
    for prompt_id in ("nan", "surrogate", "cycle", "nowhere"):
        extra: dict[str, Any] = {}
        if prompt_id == "cycle":
            extra = {"9": {"class_type": "ImageInvert", "inputs": {"image": ["9", 0]}}}
        if prompt_id == "nowhere":
            extra = {"9": {"class_type": "ImageInvert", "inputs": {"image": ["77", 0]}}}
        if prompt_id == "surrogate":
            extra = {"9": {"class_type": "RecUI", "inputs": {"ui_json": '{"text": ["\\ud800"]}'}}}
        post(comfyui.url, picture() | extra, prompt_id=prompt_id)
        assert wait_history(comfyui.url, prompt_id)["status"]["completed"] is True
    body = json.dumps({"prompt": picture(), "number": math.nan, "prompt_id": []})
    answer = requests.post(f"{comfyui.url}/prompt", data=body, timeout=5)
    assert answer.text == '{"prompt_id": "[]", "number": NaN, "node_errors": {}}'
