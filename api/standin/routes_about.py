"""What ComfyUI tells about itself: nodes, models, features, system, logs, and the frontend's leftovers."""

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from . import log_lines
from .executor import Directories
from .routes_files import list_files

VERSION = "0.3.64-standin"
MODEL_FOLDERS = (
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "custom_nodes",
    "hypernetworks",
    "photomaker",
    "classifiers",
    "model_patches",
    "audio_encoders",
)
_HIDDEN_MODEL_FOLDERS = ("configs", "custom_nodes")
# Answers of the frontend's endpoints on a fresh server.
_FIXED: dict[str, Any] = {
    "/extensions": [],
    "/users": {"storage": "server", "migrated": True},
    "/settings": {},
    "/i18n": {},
    "/workflow_templates": {},
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AboutRoutes:
    def __init__(
        self, object_info: Callable[[], dict[str, Any]], directories: Directories, features: dict[str, Any]
    ) -> None:
        self._object_info = object_info
        self._directories = directories
        self._features = features

    def routes(self) -> list[web.RouteDef]:
        fixed = [web.get(path, _always(answer)) for path, answer in _FIXED.items()]
        return [
            web.get("/object_info", self.object_info),
            web.get("/object_info/{node_class}", self.object_info_of),
            web.get("/system_stats", self.system_stats),
            web.get("/features", self.features),
            web.get("/models", _always(list(MODEL_FOLDERS))),
            web.get("/models/{folder}", self.models_of),
            web.get("/embeddings", self.embeddings),
            web.get("/experiment/models", self.experiment_models),
            web.get("/experiment/models/{folder}", self.experiment_models_of),
            web.get("/view_metadata/{folder}", self.view_metadata),
            web.get("/userdata", self.userdata),
            *fixed,
        ]

    def internal_routes(self) -> list[web.RouteDef]:
        """The ones without a twin under /api."""
        return [
            web.get("/internal/logs", self.logs),
            web.get("/internal/logs/raw", self.raw_logs),
            web.get("/internal/files/{kind}", self.files),
        ]

    async def object_info(self, request: web.Request) -> web.Response:
        return web.json_response(self._object_info())

    async def object_info_of(self, request: web.Request) -> web.Response:
        name = request.match_info["node_class"]
        everything = self._object_info()
        return web.json_response({name: everything[name]} if name in everything else {})

    async def system_stats(self, request: web.Request) -> web.Response:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
        system = {
            "os": os.name,
            "ram_total": total,
            "ram_free": free,
            "comfyui_version": VERSION,
            "required_frontend_version": "1.27.10",
            "installed_templates_version": None,
            "required_templates_version": "0.1.95",
            "python_version": sys.version,
            "pytorch_version": "none (stand-in)",
            "embedded_python": False,
            "argv": sys.argv,
        }
        device = {"name": "cpu", "type": "cpu", "index": None, "vram_total": total, "vram_free": free}
        device |= {"torch_vram_total": total, "torch_vram_free": free}
        return web.json_response({"system": system, "devices": [device]})

    async def features(self, request: web.Request) -> web.Response:
        return web.json_response(self._features)

    def _model_files(self, folder: str) -> list[str]:
        root = self._directories.models / folder
        found = [path for path in root.rglob("*") if path.is_file()] if root.is_dir() else []
        return sorted(str(path.relative_to(root)) for path in found)

    async def models_of(self, request: web.Request) -> web.Response:
        folder = request.match_info["folder"]
        if folder not in MODEL_FOLDERS:
            return web.Response(status=404)
        return web.json_response(self._model_files(folder))

    async def embeddings(self, request: web.Request) -> web.Response:
        return web.json_response([str(Path(name).with_suffix("")) for name in self._model_files("embeddings")])

    async def experiment_models(self, request: web.Request) -> web.Response:
        shown = [name for name in MODEL_FOLDERS if name not in _HIDDEN_MODEL_FOLDERS]
        root = self._directories.models
        return web.json_response([{"name": name, "folders": [str(root / name)]} for name in shown])

    async def experiment_models_of(self, request: web.Request) -> web.Response:
        folder = request.match_info["folder"]
        if folder not in MODEL_FOLDERS:
            return web.Response(status=404)
        return web.json_response([{"name": name, "pathIndex": 0} for name in self._model_files(folder)])

    async def view_metadata(self, request: web.Request) -> web.Response:
        return web.Response(status=404)

    async def userdata(self, request: web.Request) -> web.Response:
        if "dir" not in request.rel_url.query:
            return web.Response(status=400, text="Directory not provided")
        return web.Response(status=404, text="Directory not found")

    async def logs(self, request: web.Request) -> web.Response:
        return web.json_response(log_lines.text())

    async def raw_logs(self, request: web.Request) -> web.Response:
        return web.json_response({"entries": log_lines.entries(), "size": {"cols": 80, "rows": 24}})

    async def files(self, request: web.Request) -> web.Response:
        folder = getattr(self._directories, request.match_info["kind"], None)
        if folder is None or request.match_info["kind"] == "models":
            return web.json_response({"error": "Invalid directory type"}, status=400)
        return web.json_response(list_files(folder))


def _always(answer: Any) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(answer)

    return handler
