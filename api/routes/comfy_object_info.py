"""/api/comfy/object-info: the node definitions of a ComfyUI, kept for an hour and sent once to each who asks."""

import asyncio
import gzip
import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from ..comfyui.catalog import Catalog
from ..comfyui.choices import nearest, without_private
from ..errors import ComfyUnreachable, Detail, InternalError, NodeTypeUnknown, WorkerError
from ..ids import InstanceName
from .comfy_words import PREFIX, ComfyObjectInfo
from .errors import weight_of
from .sent_files import IfNoneMatch, has_it

PATH = f"{PREFIX}/object-info"
_TTL_S = 3600.0
# Longer than a healthy ComfyUI with many custom nodes takes.
_WAIT_S = 10.0
# Of less it saves nothing worth its time.
_LEAST_GZIPPED_BYTES = 1000
_JSON = "application/json"

# The ComfyUI of that name, or the first that is well. Raises InstanceNotFound, ComfyUnreachable.
ByName = Callable[[str | None], tuple[InstanceName, Catalog]]
Instance = Annotated[
    str | None,
    Query(description="The ComfyUI that is asked; none = the first that is well", examples=["127.0.0.1:8188"]),
]
Refresh = Annotated[bool, Query(description="Ask ComfyUI now, whatever is kept", examples=[True])]


@dataclass(frozen=True)
class _Document:
    """A body in both forms, under one tag."""

    plain: bytes
    gzipped: bytes
    tag: str

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "_Document":
        try:
            text = json.dumps(content, separators=(",", ":"), allow_nan=False)
        except ValueError:  # some nodes have infinite limits, which ComfyUI writes as no JSON knows them
            text = json.dumps(_finite(content), separators=(",", ":"))
        plain = text.encode()
        small = len(plain) < _LEAST_GZIPPED_BYTES
        return cls(plain, b"" if small else gzip.compress(plain, 6, mtime=0), hashlib.sha256(plain).hexdigest()[:32])

    def answer(self, accept_encoding: str, if_none_match: str | None, instance: InstanceName) -> Response:
        """It, in the form the caller takes; each form has a tag of its own."""
        gzipped = bool(self.gzipped) and _takes_gzip(accept_encoding)
        tag = f"{self.tag}-gzip" if gzipped else self.tag
        headers = {
            "ETag": f'"{tag}"',
            "Cache-Control": "private, no-cache",
            "Vary": "Accept-Encoding",
            "X-Comfy-Instance": instance,
            **({"Content-Encoding": "gzip"} if gzipped else {}),
        }
        if has_it(if_none_match, self.tag) or has_it(if_none_match, f"{self.tag}-gzip"):
            headers.pop("Content-Encoding", None)
            return Response(status_code=304, headers=headers)
        return Response(self.gzipped if gzipped else self.plain, headers=headers, media_type=_JSON)


@dataclass(frozen=True)
class _Known:
    """What one ComfyUI has said."""

    nodes: Mapping[str, Any]
    whole: _Document
    read_at: float


@dataclass
class _Kept:
    known: _Known | None = None
    coming: Future[_Known] | None = None


class ObjectInfos:
    """What each ComfyUI last said, for `ttl_s`. Safe to share.

    Each is asked by one thread of its own at a time; who waits for that holds no thread, and `wait_s` at most.
    """

    def __init__(
        self,
        by_name: ByName,
        ttl_s: float = _TTL_S,
        wait_s: float = _WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._by_name = by_name
        self._ttl_s = ttl_s
        self._wait_s = wait_s
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: WeakKeyDictionary[Catalog, _Kept] = WeakKeyDictionary()

    async def known(self, instance: str | None, *, refresh: bool) -> tuple[InstanceName, _Known]:
        """The definitions. Raises InstanceNotFound, ComfyUnreachable, ComfyProtocolError."""
        name, catalog = self._by_name(instance)
        with self._lock:
            kept = self._kept.setdefault(catalog, _Kept())
            known = kept.known
            if known is not None and not refresh and self._clock() - known.read_at < self._ttl_s:
                return name, known
            coming = kept.coming = kept.coming or self._asked(catalog, kept)
        try:
            return name, await asyncio.wait_for(asyncio.wrap_future(coming), self._wait_s)
        except TimeoutError:
            if known is not None and not refresh:
                return name, known
            later = " Without refresh you get those it gave before." if known else ""
            message = f"ComfyUI at {name} has not given its node definitions within {self._wait_s:g} s.{later}"
            raise ComfyUnreachable(message) from None

    def _asked(self, catalog: Catalog, kept: _Kept) -> Future[_Known]:
        coming: Future[_Known] = Future()
        coming.set_running_or_notify_cancel()  # nobody who waits can end it for the others

        def ask() -> None:
            known: _Known | None = None
            failure: WorkerError = InternalError("The worker could not read the node definitions; its log says why.")
            try:
                known = self._read(catalog)
            except WorkerError as error:
                failure = error
            finally:
                with self._lock:
                    kept.known, kept.coming = known or kept.known, None
                if known:
                    coming.set_result(known)
                else:
                    coming.set_exception(failure)

        threading.Thread(target=ask, name="object-info", daemon=True).start()
        return coming

    def _read(self, catalog: Catalog) -> _Known:
        read_at = self._clock()
        nodes = {name: without_private(node) for name, node in catalog.object_info(0.0).items()}
        return _Known(nodes, _Document.of(nodes), read_at)


def router(by_name: ByName) -> APIRouter:
    """The two routes."""
    routes = APIRouter(tags=["comfy"])
    infos = ObjectInfos(by_name)
    answers: dict[int | str, dict[str, Any]] = {
        200: {"model": ComfyObjectInfo, "description": "The definitions; X-Comfy-Instance says whose they are"},
        304: {"description": "The caller has them already"},
    }

    async def answered(
        request: Request, node: str | None, instance: str | None, tag: str | None, *, fresh: bool
    ) -> Response:
        name, known = await infos.known(instance, refresh=fresh)
        document = known.whole if node is None else await run_in_threadpool(_alone, known.nodes, node, name)
        return document.answer(request.headers.get("accept-encoding", ""), tag, name)

    @routes.get(PATH, summary="The node definitions", responses=answers)
    async def object_info(
        request: Request,
        node: Annotated[str | None, Query(description="This one alone", examples=["SaveImage"])] = None,
        refresh: Refresh = False,
        instance: Instance = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Those of one ComfyUI, an hour old at most. Takes `If-None-Match`."""
        return await answered(request, node, instance, if_none_match, fresh=refresh)

    @routes.get(f"{PATH}/{{node:path}}", summary="One node definition", responses=answers)
    async def one_node(
        request: Request,
        node: str,
        refresh: Refresh = False,
        instance: Instance = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """The same of one class."""
        return await answered(request, node, instance, if_none_match, fresh=refresh)

    return routes


def _alone(nodes: Mapping[str, Any], name: str, instance: InstanceName) -> _Document:
    return _Document.of(_one(nodes, name, instance))


def _one(nodes: Mapping[str, Any], name: str, instance: InstanceName) -> Mapping[str, Any]:
    if name in nodes:
        return {name: nodes[name]}
    near = nearest(name, list(nodes))
    meant = f" Did you mean {' or '.join(near)}?" if near else " Install it there, then ask with refresh=1."
    message = f"The ComfyUI {instance} has no node class {name[:100]!r}.{meant}"
    raise NodeTypeUnknown(message, [Detail(field="node", code="unknown_node", message=message, nearest=near)])


def _takes_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        coding, _, parameters = part.strip().partition(";")
        if coding.strip() in {"gzip", "*"}:
            return weight_of(parameters) > 0
    return False


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
