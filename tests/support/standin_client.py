"""A few calls against a stand-in for its own tests: post, wait for history, listen. Not our ComfyUI client."""

import json
from collections.abc import Callable
from typing import Any

import requests
import websocket
from support.waiting import wait_for

WAIT_S = 10.0


def picture(color: int = 7, prefix: str = "t/x") -> dict[str, Any]:
    """EmptyImage to SaveImage; node 2 is the output."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": color}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def slow(steps: int = 20, dt: float = 0.05, prefix: str = "t/slow") -> dict[str, Any]:
    """The same with a node in between that tells its progress; node 3 is the output."""
    sleep = {"image": ["1", 0], "steps": steps, "dt": dt, "seed": 1, "preview": "none", "progress": True}
    return {
        "1": picture()["1"],
        "2": {"class_type": "RecSleep", "inputs": sleep},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": prefix}},
    }


def post(url: str, prompt: dict[str, Any], **more: Any) -> requests.Response:
    return requests.post(f"{url}/prompt", json={"prompt": prompt} | more, timeout=WAIT_S)


def history(url: str, prompt_id: str) -> Any:
    return requests.get(f"{url}/history/{prompt_id}", timeout=WAIT_S).json().get(prompt_id)


def wait_history(url: str, prompt_id: str) -> Any:
    return wait_for(lambda: history(url, prompt_id), f"{prompt_id} in history")


def where(url: str, prompt_id: str) -> str:
    """pending, running, done or absent; asked in the order that never misses one."""
    queue = requests.get(f"{url}/queue", timeout=WAIT_S).json()
    for name, items in (("running", queue["queue_running"]), ("pending", queue["queue_pending"])):
        if any(item[1] == prompt_id for item in items):
            return name
    return "done" if history(url, prompt_id) else "absent"


class Listener:
    """A WebSocket that is read by hand."""

    def __init__(self, ws_url: str, client_id: str) -> None:
        self.socket = websocket.create_connection(f"{ws_url}?clientId={client_id}", timeout=WAIT_S)

    def hear(self, timeout_s: float = WAIT_S) -> Any:
        """The next text message; None when nothing comes, `closed` when the connection ended."""
        self.socket.settimeout(timeout_s)
        try:
            opcode, data = self.socket.recv_data()
        except websocket.WebSocketTimeoutException:
            return None
        except (websocket.WebSocketException, OSError):
            return "closed"
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return "closed"
        return json.loads(data) if opcode == websocket.ABNF.OPCODE_TEXT else data

    def hear_until(self, *kinds: str) -> list[Any]:
        """All messages up to the first of these types."""
        heard: list[Any] = []
        while not heard or heard[-1]["type"] not in kinds:
            message = self.hear()
            if message is None or message == "closed":
                raise AssertionError(f"{message} after {[kind_of(entry) for entry in heard]}")
            heard.append(message)
        return heard

    def close(self) -> None:
        self.socket.close(timeout=1)
        self.socket.shutdown()  # a connection that broke is not closed by close()

    def abort(self) -> None:
        """Gone without a close frame."""
        self.socket.shutdown()


Listen = Callable[[str], Listener]


def kind_of(message: Any) -> str:
    return message["type"] if isinstance(message, dict) else str(message)
