"""The gallery behind the real door, on a folder of the test's own; and pictures to put into it."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from PIL import Image
from support.documented import documented_session
from support.http_server import HttpServer
from support.job_stores import Clock

from api.gallery.files import GalleryFolder
from api.gallery.gallery import Gallery
from api.outputs.workflow_text import as_exif, as_png
from api.routes import comfy_gallery, comfy_ingest
from api.routes.auth import Guard
from api.routes.gallery_item import GalleryLinks
from api.routes.paths import COMFY_INGEST, INGEST_ROOM_BYTES
from api.routes.probes import Probes
from api.server import create_app

_ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = _ROOT / "tests/support/gallery_process.py"
MAX_BYTES = 3_000_000
MAX_PIXELS = 4_000_000
UNDO_S = 30.0
PROMPT = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 7, "positive": ["6", 0], "negative": ["7", 0], "model": ["4", 0]},
        "is_changed": [float("nan")],
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl/base.safetensors"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lighthouse at dusk", "clip": ["4", 1]}},
    "7": {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": "blurry, lowres, watermark and much more", "clip": ["4", 1]},
    },
}


def picture(color: int = 0xC0FFEE, size: tuple[int, int] = (48, 32), kind: str = "PNG", **options: Any) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, (color >> 16 & 255, color >> 8 & 255, color & 255)).save(made, kind, **options)
    return made.getvalue()


def of_comfyui(kind: str = "PNG", color: int = 0x123456) -> bytes:
    """A picture with its prompt where ComfyUI writes it, NaN and all."""
    texts = {"prompt": json.dumps(PROMPT), "workflow": json.dumps({"nodes": [], "links": []})}
    if kind == "PNG":
        return picture(color, pnginfo=as_png(texts))
    return picture(color, kind="WEBP", lossless=True, exif=as_exif(texts))


@dataclass
class GalleryRig:
    server: HttpServer
    gallery: Gallery
    root: Path
    clock: Clock
    session: requests.Session

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.server.url + path, timeout=20, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def send(self, content: bytes, name: str = "made.png", **fields: Any) -> requests.Response:
        """Objects are sent as JSON."""
        texts = {key: value if isinstance(value, str | bytes) else json.dumps(value) for key, value in fields.items()}
        return self.request("POST", "/api/comfy/ingest", files={"file": (name, content)}, data=texts)

    def kept(self, content: bytes, name: str = "made.png", **fields: Any) -> dict[str, Any]:
        answer = self.send(content, name, **fields)
        assert answer.status_code in (200, 201), answer.text
        told: dict[str, Any] = answer.json()
        return told

    def listed(self, **wanted: Any) -> list[dict[str, Any]]:
        answer = self.get("/api/comfy/gallery", params=wanted)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def sidecar(self, told: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / told["sidecar_path"]).read_bytes())
        return found


def opened(root: Path, clock: Any = None) -> Gallery:
    options = {"clock": clock} if clock else {}
    return Gallery(GalleryFolder(root), max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS, undo_s=UNDO_S, **options)


@contextmanager
def gallery_rig(root: Path, guard: Guard | None = None) -> Iterator[GalleryRig]:
    guard = guard or Guard()
    clock = Clock()
    gallery = opened(root, clock)
    links = GalleryLinks(guard.sign)
    app = create_app(
        [comfy_ingest.router(gallery, links), comfy_gallery.router(gallery, links)],
        probes=Probes("1"),
        guard=guard,
        max_body_bytes=1_000_000,
        body_limits={COMFY_INGEST: MAX_BYTES + INGEST_ROOM_BYTES},
    )
    with HttpServer(app) as server, documented_session() as session:
        yield GalleryRig(server, gallery, root, clock, session)
    gallery.close()


def cut_off_everywhere(folder: Path) -> int:
    """Ingest a picture in processes that are killed at every operation on files in turn; how many those were.

    Each has a folder of its own: `folder/<number>`. The last one, which was not killed, is not counted.
    """
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), str(folder)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}"},
    )
    return int(done.stdout)
