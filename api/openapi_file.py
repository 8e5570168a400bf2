"""The OpenAPI document by itself, for what is generated from it: no port, no ComfyUI, no database that stays."""

import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import __version__, serving
from .gallery_layer import build_gallery
from .job_layer import build_job_layer
from .management import build_management
from .settings import Settings

_REFERENCE = "#/components/schemas/"


def document(settings: Settings, below: str = "") -> dict[str, Any]:
    """The document of a worker with these settings; of the paths that begin with `below`, and what they refer to.

    Raises InvalidSettings.
    """
    with tempfile.TemporaryDirectory(prefix="openapi-") as folder:
        # At another host it would warn that there is no key.
        own = {
            "api_host": "127.0.0.1",
            "sqlite_db_path": Path(folder) / "jobs.db",
            "database_url": None,
            "spool_dir": None,
            "root_dir": None,
            "comfy_image_dir": None,
        }
        layer = build_job_layer(settings.model_copy(update=own), {})
        try:
            managed = build_management(layer, list, dict, __version__)
            whole = serving.create_app(layer, threading.Event(), managed, build_gallery(layer)).openapi()
        finally:
            layer.close()
    return _part(whole, below) if below else whole


def _part(whole: dict[str, Any], below: str) -> dict[str, Any]:
    paths = {path: item for path, item in whole["paths"].items() if re.match(rf"{re.escape(below)}(/|$)", path)}
    schemas = whole["components"]["schemas"]
    needed: set[str] = set()
    waiting = list(_references([paths, whole["components"]["responses"]]))
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += _references(schemas[name])
    components = {**whole["components"], "schemas": {name: schemas[name] for name in sorted(needed)}}
    used = {tag for item in paths.values() for operation in item.values() for tag in operation.get("tags", ())}
    tags = [tag for tag in whole.get("tags", ()) if tag["name"] in used]
    return {**whole, "paths": paths, "components": components, "tags": tags}


def _references(node: Any) -> Iterator[str]:
    """The names of the schemas it refers to."""
    if isinstance(node, dict):
        target = node.get("$ref")
        if isinstance(target, str) and target.startswith(_REFERENCE):
            yield target.removeprefix(_REFERENCE)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
