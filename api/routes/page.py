"""The web page at /: the plain files of api/ui, below an address that changes with their content. Knows no jobs."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from .sent_files import has_it

# For the door: the page itself is no secret, only what it shows.
OPEN_BELOW = ("/ui",)
_FOLDER = Path(__file__).resolve().parents[1] / "ui"
_FRONT = "index.html"
_SHEETS = ("style/theme.css", "style/layout.css", "style/parts.css", "style/panes.css")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Nothing but this server's own files, and no way from text to markup or script.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_LASTING = "public, max-age=31536000, immutable"
_ASKED_AGAIN = "no-cache"


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    packed: bytes
    media_type: str
    tag: str


class Page:
    """The files of a folder, read when they are first asked for."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._folder = folder

    def front(self, request: Request) -> Response | None:
        """The page, for who takes HTML; None for others."""
        if not _takes_html(request.headers.get("accept", "")):
            return None
        return _sent(request, self._front, _ASKED_AGAIN, "Accept, Accept-Encoding")

    def part(self, request: Request, version: str, name: str) -> Response:
        """One of the page's files. Raises HTTP's 404, also for those of another version."""
        file = self._files.get(name) if version == self._version else None
        if file is None:
            raise HTTPException(404, "The page has no such file; load / again, it may be newer.")
        return _sent(request, file, _LASTING, "Accept-Encoding")

    @cached_property
    def _sources(self) -> Mapping[str, bytes]:
        paths = sorted(path for path in self._folder.rglob("*") if path.suffix in _TYPES)
        return {path.relative_to(self._folder).as_posix(): path.read_bytes() for path in paths}

    @cached_property
    def _version(self) -> str:
        digest = hashlib.sha256()
        for name, content in self._sources.items():
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()[:16]

    @cached_property
    def _files(self) -> Mapping[str, _File]:
        files = {name: _file(name, content) for name, content in self._sources.items() if name != _FRONT}
        # One request before the first paint, not several.
        sheets = [self._sources[name] for name in _SHEETS]
        return {**files, "style.css": _file("style.css", b"\n".join(sheets))}

    @cached_property
    def _front(self) -> _File:
        base = f"/ui/{self._version}"
        # Else a browser learns of a module only when it has read the one that imports it; the paint comes first.
        modules = [name for name in self._sources if name.endswith(".js") and name.startswith("js/")]
        preloads = "\n".join(f'<link rel="modulepreload" fetchpriority="low" href="{base}/{name}">' for name in modules)
        text = self._sources[_FRONT].decode().replace("<!-- modules -->", preloads).replace("{ui}", base)
        return _file(_FRONT, text.encode())


def router(page: Page) -> APIRouter:
    """/ui/{version}/{name}; the page at / is the greeting's business."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/ui/{version}/{name:path}")
    async def part(request: Request, version: str, name: str) -> Response:
        return page.part(request, version, name)

    return routes


def _file(name: str, content: bytes) -> _File:
    tag = hashlib.sha256(content).hexdigest()[:32]
    return _File(content, gzip.compress(content, 6, mtime=0), _TYPES[Path(name).suffix], tag)


def _sent(request: Request, file: _File, caching: str, vary: str) -> Response:
    packed = "gzip" in request.headers.get("accept-encoding", "")
    # Of another encoding the bytes are others.
    tag = f"{file.tag}-gzip" if packed else file.tag
    headers = {**_HEADERS, "Cache-Control": caching, "Vary": vary, "ETag": f'"{tag}"'}
    if has_it(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(file.packed if packed else file.content, 200, headers, file.media_type)


def _takes_html(accept: str) -> bool:
    """Whether HTML is named: those who take anything are no browsers."""
    return any(part.partition(";")[0].strip().lower() == "text/html" for part in accept.split(","))
