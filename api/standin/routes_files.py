"""/upload/image, /upload/mask, /view and /internal/files: files in and out of input, output and temp.

Odd names fail as they do in ComfyUI: with an empty 400 or 404 where it checks, with the 500 text where it raises.
"""

import asyncio
import hashlib
import io
import json
import mimetypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .executor import Directories
from .faults import Faults

_SCRIPTABLE = {"text/html", "text/html-sandboxed", "application/xhtml+xml", "text/javascript", "text/css"}


class FileRoutes:
    def __init__(self, directories: Directories, faults: Faults) -> None:
        self._roots = {"input": directories.input, "output": directories.output, "temp": directories.temp}
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/upload/image", self.upload_image),
            web.post("/upload/mask", self.upload_mask),
            web.get("/view", self.view),
        ]

    # --- uploads ---

    async def upload_image(self, request: web.Request) -> web.Response:
        form = await request.post()
        return self._store(form, lambda part, path: path.write_bytes(part.file.read()))

    async def upload_mask(self, request: web.Request) -> web.Response:
        form = await request.post()
        return self._store(form, lambda part, path: self._write_masked(form, part, path))

    def _store(self, form: Any, write: Callable[[Any, Path], Any]) -> web.Response:
        """No await in here: concurrent uploads of one name each get their own."""
        part = form.get("image")
        kind, subfolder = form.get("type", "input"), form.get("subfolder", "")
        if part is None or not part.file:
            return web.Response(status=400)
        root = self._roots[kind]
        path = _locate(root, subfolder, part.filename)
        if not path.is_relative_to(root):
            return web.Response(status=400)
        _locate(root, subfolder).mkdir(parents=True, exist_ok=True)
        if form.get("overwrite") not in ("true", "1"):
            path, known = _free_name(path, part)
            if known:
                write = _write_nothing
        write(part, path)
        name = str(path.relative_to(_locate(root, subfolder)))
        return web.json_response({"name": name, "subfolder": subfolder, "type": kind})

    def _write_masked(self, form: Any, part: Any, path: Path) -> None:
        """The upload's alpha goes into the original; a missing or illegal original writes nothing and is still 200."""
        reference = json.loads(form.get("original_ref"))
        root, name = self._roots[reference.get("type", "output")], reference["filename"]
        source = _locate(root, reference.get("subfolder", ""), name)
        if name.startswith("/") or ".." in name or not source.is_relative_to(root) or not _is_file(source):
            return
        with Image.open(source) as original:
            chunks = dict(getattr(original, "text", {}))
            picture = original.convert("RGBA")
        with Image.open(part.file) as mask:
            picture.putalpha(mask.convert("RGBA").getchannel("A"))
        picture.save(path, compress_level=4, pnginfo=_png_text(chunks))

    # --- /view ---

    async def view(self, request: web.Request) -> web.StreamResponse:
        query = request.rel_url.query
        if "filename" not in query or self._faults.take("view_404"):
            return web.Response(status=404)
        name, kind = _annotated(query["filename"], query.get("type", "output"))
        if not name or name.startswith("/") or ".." in name or kind not in self._roots:
            return web.Response(status=400)
        folder = _locate(self._roots[kind], query.get("subfolder", ""))
        if not folder.is_relative_to(self._roots[kind]):
            return web.Response(status=403)
        path = folder / Path(name).name
        return await self._answer(request, path) if _is_file(path) else web.Response(status=404)

    async def _answer(self, request: web.Request, path: Path) -> web.StreamResponse:
        headers = {"Content-Disposition": f'filename="{path.name}"'}
        query = request.rel_url.query
        channel = query.get("channel", "rgba")
        if "preview" in query:
            body, kind = await asyncio.to_thread(_preview, path, query["preview"], query.get("channel", ""))
            return web.Response(body=body, content_type=kind, headers=headers)
        if channel in ("rgb", "a"):
            body = await asyncio.to_thread(_channel, path, channel)
            return web.Response(body=body, content_type="image/png", headers=headers)
        limit = self._faults.take_limit("truncate_view")
        if limit is not None:
            return await _truncated(request, path, limit, headers)
        return web.FileResponse(path, headers=headers | {"Content-Type": _content_type(path.name)})


def list_files(folder: Path) -> list[str]:
    """Top level only, newest first."""
    files = [entry for entry in folder.iterdir() if entry.is_file()] if folder.is_dir() else []
    return [entry.name for entry in sorted(files, key=lambda entry: -entry.stat().st_mtime)]


def _locate(root: Path, *parts: str) -> Path:
    """Where the parts lead, `..` resolved in the text, whether it exists or not."""
    return Path(os.path.normpath(Path(root, *parts)))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _annotated(name: str, kind: str) -> tuple[str, str]:
    """`name [input]` overrides the type."""
    for annotation in ("input", "output", "temp"):
        suffix = f"[{annotation}]"
        if name.endswith(suffix):
            return name[: -len(suffix)].rstrip(), annotation
    return name, kind


def _free_name(wanted: Path, part: Any) -> tuple[Path, bool]:
    """A name nobody has, or the one that already holds the same bytes (True)."""
    digest = hashlib.sha256(part.file.read()).digest()
    part.file.seek(0)
    path, number = wanted, 1
    while _exists(path):
        if hashlib.sha256(path.read_bytes()).digest() == digest:
            return path, True
        path, number = wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}"), number + 1
    return path, False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long: writing it is what raises
        return False


def _write_nothing(part: Any, path: Path) -> None:
    """The same bytes are there already."""


def _png_text(chunks: dict[str, Any]) -> PngInfo:
    info = PngInfo()
    for key, value in chunks.items():
        info.add_text(key, str(value))
    return info


def _content_type(name: str) -> str:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return "application/octet-stream" if kind in _SCRIPTABLE else kind


def _preview(path: Path, wanted: str, channel: str) -> tuple[bytes, str]:
    """`format;quality`: jpeg unless alpha is asked for, webp for everything else; quality 90 when not a number."""
    words = wanted.split(";")
    image_format = "jpeg" if words[0] == "jpeg" and "a" not in channel else "webp"
    quality = int(words[-1]) if words[-1].isdigit() else 90
    buffer = io.BytesIO()
    with Image.open(path) as image:
        shown = image.convert("RGB") if image_format == "jpeg" or channel == "rgb" else image
        shown.save(buffer, format=image_format, quality=quality)
    return buffer.getvalue(), f"image/{image_format}"


def _channel(path: Path, channel: str) -> bytes:
    with Image.open(path) as image:
        if channel == "rgb":
            shown = Image.merge("RGB", image.split()[:3]) if image.mode == "RGBA" else image.convert("RGB")
        else:
            alpha = image.getchannel("A") if image.mode == "RGBA" else Image.new("L", image.size, 255)
            shown = Image.new("RGBA", image.size)
            shown.putalpha(alpha)
    buffer = io.BytesIO()
    shown.save(buffer, format="PNG")
    return buffer.getvalue()


async def _truncated(request: web.Request, path: Path, limit: int, headers: dict[str, str]) -> web.StreamResponse:
    """Announces the whole file and cuts the connection after `limit` bytes."""
    body = path.read_bytes()
    headers = headers | {"Content-Type": _content_type(path.name), "Content-Length": str(len(body))}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(body[:limit])
    if request.transport is not None:
        request.transport.close()
    return response
