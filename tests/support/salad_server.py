"""SaladTechnologies' comfyui-api 1.18.0 as far as it is used, around a stand-in: `with SaladServer(comfyui) as s:`.

What it does wrong it does wrong here too: no outputs from subfolders, a base64 that begins with a slash is a path.
"""

import base64
import binascii
import contextlib
import json
import threading
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import requests
from support.standin_process import StandinProcess
from support.waiting import wait_for

VERSION = "1.18.0"
_MAGIC = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg", b"GIF8": "gif"}


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, content: dict[str, Any]) -> None:
        super().__init__(content)
        self.status = status
        self.content = content


class SaladServer:
    """`key`: what the gateway in front of it wants in Salad-Api-Key."""

    def __init__(self, comfyui: StandinProcess, key: str | None = None) -> None:
        self.comfyui = comfyui
        self.key = key
        self.is_warm = True
        self.prompts: list[dict[str, Any]] = []
        self.interrupts: list[str] = []
        # What becomes of the next requests of a path instead of an answer: "drop", or a status.
        self.faults: dict[str, list[str | int]] = {}
        self._ids: dict[str, str] = {}

    def __enter__(self) -> Self:
        salad = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._answer(salad.get)

            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(lambda path: salad.post(path, content))

            def _answer(self, act: Callable[[str], tuple[int, dict[str, Any]]]) -> None:
                fault = next(iter(salad.faults.get(self.path, [])), None)
                if fault is not None:
                    salad.faults[self.path].pop(0)
                if fault == "drop":
                    self.close_connection = True
                    return
                try:
                    if salad.key and self.headers.get("Salad-Api-Key") != salad.key:
                        raise Refusal(401, {"error": "Unauthorized"})
                    status, answer = act(self.path) if fault is None else (int(fault), {"error": "Bad Gateway"})
                except Refusal as refusal:
                    status, answer = refusal.status, refusal.content
                body = json.dumps(answer).encode()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json; charset=utf-8")
                    self.send_header("Content-Length", str(len(body)))
                    self.send_header("Retry-After", "0")
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        if path == "/health":
            return 200, {"version": VERSION, "status": "healthy"}
        if path == "/ready":
            return (200 if self.is_warm else 503), {
                "version": VERSION,
                "status": "ready" if self.is_warm else "not ready",
            }
        raise Refusal(404, {"message": f"Route GET:{path} not found", "error": "Not Found", "statusCode": 404})

    def post(self, path: str, content: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if path == "/prompt":
            return self._prompt(content)
        if path == "/interrupt":
            return self._interrupt(content["id"])
        raise Refusal(404, {"message": f"Route POST:{path} not found", "error": "Not Found", "statusCode": 404})

    def _prompt(self, content: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if not isinstance(content.get("prompt"), dict):
            raise Refusal(400, {"error": "Bad Request"})
        job_id = content.get("id") or str(uuid.uuid4())
        self.prompts.append({**content, "prompt": json.loads(json.dumps(content["prompt"]))})
        prompt = content["prompt"]
        if not self._preprocessed(prompt, job_id):
            text = 'Prompt must contain a node with a "filename_prefix" input, such as "SaveImage"'
            raise Refusal(400, {"error": text, "location": "prompt"})
        files = self._run(prompt, job_id)
        names = list(files)
        stats = {"comfy_execution": {"start": 1, "end": 2, "duration": 1, "nodes": {}}, "preprocess_time": 0}
        times = {"comfy_round_trip_time": 1, "postprocess_time": 0, "upload_time": 0, "total_time": 1}
        images = [base64.b64encode(files[name]).decode() for name in names]
        answer = {"prompt": prompt, "id": job_id, "images": images, "filenames": names, "stats": {**stats, **times}}
        return 200, answer

    def _preprocessed(self, prompt: dict[str, Any], job_id: str) -> bool:
        saves = False
        for node_id, node in prompt.items():
            inputs = node["inputs"]
            if isinstance(inputs.get("filename_prefix"), str) and inputs["filename_prefix"]:
                inputs["filename_prefix"] = f"{job_id}_{inputs['filename_prefix']}"
                saves = True
            elif isinstance(inputs.get("image"), str) and inputs["image"]:
                try:
                    inputs["image"] = self._stored(inputs["image"])
                except ValueError as error:
                    text = f"Failed to download image for node {node_id}: {error}"
                    raise Refusal(400, {"error": text, "location": f"prompt.{node_id}.inputs.image"}) from None
        return saves

    def _stored(self, given: str) -> str:
        if given.startswith("/") and len(given) < 4096 and not given.endswith("=="):
            return str(Path(given).resolve())
        if given.startswith(("http://", "https://")):
            content = requests.get(given, timeout=10).content
        else:
            try:
                content = base64.b64decode(given)
            except binascii.Error:
                content = b""
        kind = next((kind for magic, kind in _MAGIC.items() if content.startswith(magic)), None)
        if kind is None:
            raise ValueError("Failed to parse base64 encoded file: Could not determine file type from base64 data")
        path = self.comfyui.input_dir / f"{uuid.uuid4()}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path.name

    def _run(self, prompt: dict[str, Any], job_id: str) -> dict[str, bytes]:
        answer = requests.post(f"{self.comfyui.url}/prompt", json={"prompt": prompt}, timeout=10)
        if answer.status_code != 200:
            raise self._failure(f"Failed to queue prompt: {answer.text}")
        prompt_id = answer.json()["prompt_id"]
        self._ids[job_id] = prompt_id
        entry = wait_for(lambda: self._history(prompt_id), f"the end of {prompt_id}", 90)
        if not entry["status"]["completed"]:
            raise self._failure("Failed to get prompt outputs")
        found: dict[str, bytes] = {}
        for output in entry["outputs"].values():
            for item in (item for items in output.values() for item in items if isinstance(item, dict)):
                path = self.comfyui.output_dir / item.get("filename", "")
                if path.is_file():
                    found[path.name] = path.read_bytes()
                    path.unlink()
        # As they were read, which is in no order.
        return dict(reversed(found.items()))

    def _history(self, prompt_id: str) -> Any:
        return requests.get(f"{self.comfyui.url}/history/{prompt_id}", timeout=10).json().get(prompt_id)

    def _interrupt(self, job_id: str) -> tuple[int, dict[str, Any]]:
        self.interrupts.append(job_id)
        if job_id not in self._ids:
            raise Refusal(404, {"id": job_id, "interrupted": "failed"})
        requests.post(f"{self.comfyui.url}/interrupt", json={"prompt_id": self._ids[job_id]}, timeout=10)
        return 200, {"id": job_id, "interrupted": "success"}

    def _failure(self, text: str) -> Refusal:
        return Refusal(500, {"statusCode": 500, "error": "Internal Server Error", "message": text})
