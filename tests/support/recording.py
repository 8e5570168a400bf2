"""Plays a trimmed recording of a real ComfyUI against a server and says where the server differs.

A recording is a list of events in the order of the wire. Before anything is sent, all messages that had come by then
are awaited, so no timing is replayed; `status` messages are counted apart, since they race with the others.
"""

import base64
import contextlib
import http.client
import io
import json
import os
import queue
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import websocket
from PIL import Image
from support.waiting import wait_for

RECORDINGS = Path(__file__).resolve().parents[1] / "data" / "comfyui" / "recordings"
WAIT_S = 15.0
# Sets in ComfyUI: their order says nothing.
_UNORDERED = {"executed", "current_outputs", "dependent_outputs", "nodes"}
_DROPPED = {"timestamp", "traceback", "current_inputs"}
_BOUNDARY = "BOUND"
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TEMP = "ComfyUI_temp_"


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text())
    return loaded


@dataclass
class Names:
    """What differs between two runs of the same thing: ids, counters, random names."""

    ids: dict[str, str] = field(default_factory=dict)
    first_number: int | None = None
    counted: bool = True

    def number(self, value: Any) -> Any:
        if not isinstance(value, int):
            return value
        if not self.counted:
            return "<number>"
        if self.first_number is None:
            self.first_number = abs(value)
        return value - self.first_number if value >= 0 else value + self.first_number

    def text(self, value: str) -> str:
        if value in self.ids:
            return self.ids[value]
        value = re.sub(r"_\d{5}_\.", "_NNNNN_.", value)
        for name, alias in self.ids.items():
            if name.startswith(_TEMP):
                value = value.replace(name, alias)
        value = re.sub(r"(full_output_folder|output_dir|commonpath): \S+", r"\1: <path>", value)
        return re.sub(r"'/[^']*/(in|input)/", "'<input>/", value)

    def learn(self, answer: Any) -> None:
        """Made prompt ids and temp names get aliases in the order they come; chosen ids keep theirs."""
        for name in re.findall(rf"{_UUID}|{_TEMP}[a-z]{{5}}", json.dumps(answer)):
            kind = "temp" if name.startswith(_TEMP) else "id"
            number = sum(alias.startswith(f"<{kind}") for alias in self.ids.values())
            self.ids.setdefault(name, f"<{kind} {number}>")


def normal(value: Any, names: Names, key: str = "") -> Any:
    """The comparable part of a JSON value."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in _DROPPED}
        return {names.text(k): normal(v, names, k) for k, v in kept.items()}
    if isinstance(value, list):
        return _normal_list(value, names, key)
    if key == "number":
        return names.number(value)
    if key == "sid" and isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value):
        return "<made>"
    return names.text(value) if isinstance(value, str) else value


def _normal_list(value: list[Any], names: Names, key: str) -> Any:
    if len(value) == 5 and isinstance(value[2], dict) and isinstance(value[4], list):
        number, *rest, outputs = value  # a queue item
        return [names.number(number), *(normal(item, names) for item in rest), sorted(outputs)]
    items = [normal(item, names) for item in value]
    if key in _UNORDERED:
        return sorted(items)
    if key == "errors":
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return items


def compact(message: Any) -> Any:
    """progress_state repeats a lot: kept are value, max and state of each node."""
    if isinstance(message, dict) and message.get("type") == "progress_state":
        nodes = message["data"]["nodes"]
        return {
            "type": "progress_state",
            "prompt_id": message["data"]["prompt_id"],
            "nodes": {node_id: [node["value"], node["max"], node["state"]] for node_id, node in nodes.items()},
        }
    return message


def decode_frame(frame: bytes) -> dict[str, Any]:
    """The comparable part of a binary frame."""
    kind, second = int.from_bytes(frame[:4]), int.from_bytes(frame[4:8])
    if kind == 3:
        return {"binary": kind, "node": frame[8 : 8 + second].decode(), "text": frame[8 + second :].decode()}
    if kind == 4:
        image = frame[8 + second :]
        return {"binary": kind, "metadata": json.loads(frame[8 : 8 + second]), "magic": image[:4].hex()}
    return {"binary": kind, "format": second, "magic": frame[8:12].hex()}


def picture(content: bytes) -> Any:
    """What a PNG shows and says, whoever compressed it; other bytes as they are."""
    if not content.startswith(b"\x89PNG") or b"IEND" not in content:
        return base64.b64encode(content).decode()
    with Image.open(io.BytesIO(content)) as image:
        return [image.size, image.mode, image.tobytes().hex(), {key: str(value) for key, value in image.info.items()}]


class _Socket:
    def __init__(self, url: str) -> None:
        self._socket = websocket.create_connection(url, timeout=WAIT_S)
        self.statuses: list[Any] = []
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                opcode, data = self._socket.recv_data()
            except (websocket.WebSocketException, OSError):
                return
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return
            message = decode_frame(data) if opcode == websocket.ABNF.OPCODE_BINARY else json.loads(data)
            if isinstance(message, dict) and message.get("type") == "status" and "sid" not in message["data"]:
                self.statuses.append(message["data"]["status"]["exec_info"]["queue_remaining"])
            else:
                self._messages.put(message)

    def next(self) -> Any:
        return self._messages.get(timeout=WAIT_S)

    def rest(self) -> list[Any]:
        rest = []
        while not self._messages.empty():
            rest.append(self._messages.get())
        return rest

    def send(self, text: str) -> None:
        self._socket.send(text)

    def close(self) -> None:
        self._socket.close(timeout=1)
        self._socket.shutdown()  # a connection that broke is not closed by close()
        self._reader.join(WAIT_S)


class Player:
    """Plays events against one server; `differences` collects what was not as recorded."""

    def __init__(self, port: int, output_dir: Path, input_dir: Path) -> None:
        self._port = port
        self._roots = {"output": output_dir, "input": input_dir}
        self._recorded, self._actual = Names(), Names()
        self._sockets: dict[str, _Socket] = {}
        self._answers: dict[int, dict[str, Any]] = {}
        self._note = ""
        self.differences: list[str] = []
        self.compared = 0

    def play(self, recording: dict[str, Any]) -> None:
        self._recorded.counted = self._actual.counted = recording.get("counted", True)
        for path, stored in recording.get("files", {}).items():
            self._place(path, stored)
        expected_statuses: dict[str, int] = {}
        for event in recording["events"]:
            kind = event["do"]
            self._note = event.get("note", self._note)
            if kind == "status":
                expected_statuses[event["conn"]] = expected_statuses.get(event["conn"], 0) + 1
            else:
                getattr(self, f"_{kind}")(event)
        for conn, socket in self._sockets.items():
            wanted = expected_statuses.get(conn, 0)
            # The last one may still be on its way; a missing one shows in the comparison.
            with contextlib.suppress(AssertionError):
                wait_for(lambda socket=socket, wanted=wanted: len(socket.statuses) >= wanted, "the last status", 3)
            socket.close()
            self._compare(f"left on socket {conn}", [], socket.rest())
            self._compare(f"number of status messages on {conn}", wanted, len(socket.statuses))
        self._sockets.clear()

    def _place(self, path: str, stored: dict[str, Any]) -> None:
        root, _, rest = path.partition("/")
        target = self._roots[root] / rest
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(base64.b64decode(stored["b64"]))
        os.utime(target, ns=(stored["mtime_ns"], stored["mtime_ns"]))

    def _compare(self, what: str, recorded: Any, actual: Any) -> None:
        self.compared += 1
        if json.dumps(recorded, sort_keys=True) != json.dumps(actual, sort_keys=True):
            self.differences.append(f"[{self._note}] {what}:\n  recorded {recorded}\n  actual   {actual}")

    # --- events ---

    def _open(self, event: dict[str, Any]) -> None:
        self._sockets[event["conn"]] = _Socket(f"ws://127.0.0.1:{self._port}{event['path']}")

    def _remove(self, event: dict[str, Any]) -> None:
        root, _, rest = event["path"].partition("/")
        (self._roots[root] / rest).unlink()

    def _say(self, event: dict[str, Any]) -> None:
        self._sockets[event["conn"]].send(event["text"])

    def _close(self, event: dict[str, Any]) -> None:
        """Sockets close at the end, when everything has come."""

    def _hear(self, event: dict[str, Any]) -> None:
        self._recorded.learn(event["message"])
        recorded = normal(event["message"], self._recorded)
        try:
            actual = compact(self._sockets[event["conn"]].next())
            self._actual.learn(actual)
        except queue.Empty:
            raise AssertionError("\n".join([*self.differences, f"[{self._note}] never came: {recorded}"])) from None
        self._compare("message", recorded, normal(actual, self._actual))

    def _ask(self, event: dict[str, Any]) -> None:
        answer = self._request(event)
        if event.get("until_there") and answer["content"] == b"{}":
            # Runs nobody listens to end unheard: their history is asked for until it is there.
            answer = wait_for(lambda: self._nonempty(event), event["path"])
        self._answers[event["id"]] = answer
        if answer["status"] == 200 and event["path"] == "/prompt" and event["method"] == "POST":
            # Now: messages of the prompt may be compared before this answer is.
            self._actual.learn(json.loads(answer["content"]))

    def _nonempty(self, event: dict[str, Any]) -> Any:
        answer = self._request(event)
        return answer if answer["content"] != b"{}" else None

    def _request(self, event: dict[str, Any]) -> dict[str, Any]:
        body, headers = _body(event)
        headers = {name: value.replace("PORT", str(self._port)) for name, value in headers.items()}
        path = self._with_actual_ids(event["path"].encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WAIT_S)
        try:
            connection.request(event["method"], path, body and self._with_actual_ids(body), headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        # http.client reads headers as Latin-1; ComfyUI writes file names as UTF-8.
        answered = {name: value.encode("latin-1").decode() for name, value in response.getheaders()}
        return {"status": response.status, "headers": answered, "content": content}

    def _with_actual_ids(self, text: bytes) -> bytes:
        actual_of = {name: actual for actual, name in self._actual.ids.items()}
        for recorded, name in self._recorded.ids.items():
            text = text.replace(recorded.encode(), actual_of.get(name, recorded).encode())
        return text

    def _know(self, event: dict[str, Any]) -> None:
        """The recorded id of the prompt just posted."""
        self._recorded.learn(event["prompt_id"])

    def _answer(self, event: dict[str, Any]) -> None:
        actual = self._answers[event["id"]]
        self._compare("status code", event["status"], actual["status"])
        for name, value in event.get("headers", {}).items():
            got = actual["headers"].get(name, "")
            self._compare(f"header {name}", self._recorded.text(value), self._actual.text(got))
        if "json" in event:
            try:
                got = json.loads(actual["content"])
            except ValueError:
                got = actual["content"].decode(errors="replace")
            self._compare("answer", normal(event["json"], self._recorded), normal(got, self._actual))
        elif "text" in event:
            self._compare("answer", event["text"], actual["content"].decode(errors="replace"))
        elif "b64" in event:
            self._compare("answer", picture(base64.b64decode(event["b64"])), picture(actual["content"]))


def _body(event: dict[str, Any]) -> tuple[bytes | None, dict[str, str]]:
    headers = dict(event.get("headers", {}))
    if "multipart" in event:
        headers["Content-Type"] = f"multipart/form-data; boundary={_BOUNDARY}"
        return _multipart(event["multipart"]), headers
    if "json" in event:
        return json.dumps(event["json"]).encode(), headers
    if "b64" in event:
        return base64.b64decode(event["b64"]), headers
    return (event["text"].encode() if "text" in event else None), headers


def _multipart(fields: dict[str, Any]) -> bytes:
    """As the recorder's client (aiohttp.FormData) writes it: file names percent-quoted."""
    parts = []
    for name, value in fields.items():
        head = f'Content-Disposition: form-data; name="{name}"'
        if isinstance(value, str):
            parts.append(f"{head}\r\n\r\n{value}".encode())
            continue
        if value["filename"] is not None:
            head += f'; filename="{quote(value["filename"], safe="")}"'
        if value["content_type"]:
            head += f"\r\nContent-Type: {value['content_type']}"
        parts.append(f"{head}\r\n\r\n".encode() + base64.b64decode(value["b64"]))
    lines = b"".join(b"--" + _BOUNDARY.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return lines + f"--{_BOUNDARY}--\r\n".encode()
