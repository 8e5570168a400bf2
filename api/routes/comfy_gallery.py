"""/api/comfy/gallery: what was made or sent in, newest first, searched, shown, deleted and brought back."""

import datetime
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict

from ..errors import Detail, GalleryItemNotFound, InvalidInput
from ..gallery.entry import Count, Wanted
from ..gallery.gallery import Gallery
from ..gallery.sidecar import Source
from ..gallery.words import query
from .answers import answer
from .gallery_item import ITEM_EXAMPLE, PATH, GalleryItem, GalleryLinks
from .sent_files import ANSWERS, IfNoneMatch, IfRange, Range, SentFile, has_it, headers_of, send

_THUMBNAIL_TYPE = "image/webp"
_MOST_PIXELS = 1_000_000
_NOTHING = "\0"
_CURSOR = "1704067200123000"
_DAYS_EXAMPLE: list[Any] = [{"day": "2024-01-01", "count": 12}]
_NAMED_EXAMPLE: list[Any] = [{"name": "sd_xl_base_1.0.safetensors", "count": 7}]
_Size = Annotated[int | None, Query(ge=1, le=_MOST_PIXELS, examples=[512])]
ItemId = Annotated[str, Path(alias="id", pattern=r"^[0-9a-f]{64}$", description="The sha256 of the content, in hex")]


class GalleryPage(BaseModel):
    """The newest first. `next` is the `cursor` of the page after this one; `is_indexing`: there will be more soon."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"items": [ITEM_EXAMPLE], "next": _CURSOR, "is_indexing": False}}
    )
    items: list[GalleryItem]
    next: str | None
    is_indexing: bool


class GalleryDay(BaseModel):
    """How many files came in on a day (UTC)."""

    model_config = ConfigDict(json_schema_extra={"example": _DAYS_EXAMPLE[0]})
    day: str
    count: int


class GalleryDays(BaseModel):
    """The days on which something came in, the newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"days": _DAYS_EXAMPLE, "total": 12}})
    days: list[GalleryDay]
    total: int


class GalleryFacet(BaseModel):
    """How many files have that name of a workflow, or of a checkpoint."""

    model_config = ConfigDict(json_schema_extra={"example": _NAMED_EXAMPLE[0]})
    name: str
    count: int


class GalleryFacets(BaseModel):
    """What the filters `workflow` and `checkpoint` may look for: the hundred most used of each."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"workflows": [{"name": "portrait", "count": 12}], "checkpoints": _NAMED_EXAMPLE}}
    )
    workflows: list[GalleryFacet]
    checkpoints: list[GalleryFacet]


class GallerySidecar(GalleryItem):
    """An item, and the whole JSON that lies beside its file."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **ITEM_EXAMPLE,
                "sidecar": {
                    "version": 1,
                    "sha256": ITEM_EXAMPLE["id"],
                    "source": "generated",
                    "lasting": False,
                    "prompt_id": ITEM_EXAMPLE["prompt_id"],
                    "job_ids": [ITEM_EXAMPLE["job_id"]],
                    "workflow_name": "portrait",
                    "file": {
                        "name": f"{ITEM_EXAMPLE['id']}.png",
                        **{
                            name: ITEM_EXAMPLE[name]
                            for name in ("filename", "media_type", "size_bytes", "width", "height", "created_at")
                        },
                    },
                    "metadata": {"rating": 5},
                    "workflow": {"1": {"class_type": "EmptyImage", "inputs": {}}},
                    "also": [],
                },
            }
        }
    )
    sidecar: dict[str, Any]


def wanted(
    q: Annotated[
        str,
        Query(
            max_length=1000,
            description="Words of prompts, metadata and names, all of them; the last one by its beginning",
            examples=['lighthouse "at dusk"'],
        ),
    ] = "",
    day: Annotated[datetime.date | None, Query(description="UTC", examples=["2024-01-01"])] = None,
    workflow: Annotated[str | None, Query(max_length=300, examples=["portrait"])] = None,
    checkpoint: Annotated[str | None, Query(max_length=300, examples=["sd_xl_base_1.0.safetensors"])] = None,
    kind: Literal["image", "video", "audio"] | None = None,
    source: Source | None = None,
    min_width: _Size = None,
    max_width: _Size = None,
    min_height: _Size = None,
    max_height: _Size = None,
) -> Wanted:
    """The filters of a request; what is not given is not asked for."""
    # Only signs: nothing is called so.
    words = query(q) or (_NOTHING if q.strip() else "")
    sizes = (min_width, max_width, min_height, max_height)
    return Wanted(words, day.isoformat() if day else None, workflow, checkpoint, kind, source, *sizes)


Filters = Annotated[Wanted, Depends(wanted)]


def router(gallery: Gallery, links: GalleryLinks, deleted: Callable[[], None] = lambda: None) -> APIRouter:
    """/api/comfy/gallery and all below it. `deleted` is called when something was."""
    routes = APIRouter(tags=["gallery"])
    _add_lists(routes, gallery, links)
    _add_item(routes, gallery, links, deleted)
    _add_file(routes, gallery)
    _add_thumbnail(routes, gallery)
    return routes


def _add_lists(routes: APIRouter, gallery: Gallery, links: GalleryLinks) -> None:
    @routes.get(
        PATH,
        summary="The gallery, newest first",
        responses={200: {"model": GalleryPage, "description": "A page of it"}},
    )
    def page(
        filters: Filters,
        limit: Annotated[int, Query(ge=1, le=200, examples=[50])] = 50,
        cursor: Annotated[
            int | None, Query(ge=0, lt=2**63, description="`next` of the page before", examples=[_CURSOR])
        ] = None,
    ) -> Response:
        """Outputs of jobs as long as their job is kept (COMFY_GALLERY_GENERATED), and what was sent to /ingest."""
        found = [] if _asks_nothing(filters) else gallery.page(filters, limit + 1, cursor)
        shown = found[:limit]
        following = str(shown[-1].number) if len(found) > limit else None
        items = [links.item(each) for each in shown]
        return answer({"items": items, "next": following, "is_indexing": gallery.is_indexing})

    @routes.get(
        f"{PATH}/days",
        summary="How many came in on which day",
        responses={200: {"model": GalleryDays, "description": "The days, newest first"}},
    )
    def days(filters: Filters) -> Response:
        found = [] if _asks_nothing(filters) else gallery.days(filters)
        told = [{"day": each.name, "count": each.count} for each in found]
        return answer({"days": told, "total": sum(each.count for each in found)})

    @routes.get(
        f"{PATH}/facets",
        summary="What the filters may look for",
        responses={200: {"model": GalleryFacets, "description": "Workflows and checkpoints"}},
    )
    def facets() -> Response:
        workflows, checkpoints = gallery.facets()
        return answer({"workflows": _counted(workflows), "checkpoints": _counted(checkpoints)})


def _asks_nothing(filters: Wanted) -> bool:
    return filters.query == _NOTHING


def _counted(found: Sequence[Count]) -> list[dict[str, Any]]:
    return [{"name": each.name, "count": each.count} for each in found]


def _add_item(routes: APIRouter, gallery: Gallery, links: GalleryLinks, deleted: Callable[[], None]) -> None:
    path = f"{PATH}/{{id}}"

    @routes.get(
        path,
        summary="All that is known of a file",
        responses={200: {"model": GallerySidecar, "description": "The item and its sidecar"}},
    )
    def item(item_id: ItemId) -> Response:
        entry = gallery.get(item_id)
        return answer({**links.item(entry), "sidecar": gallery.sidecar(entry).as_json()})

    @routes.delete(
        path,
        summary="Delete a file",
        responses={200: {"model": GalleryItem, "description": "It is hidden, and gone after `deleted_until`"}},
    )
    def delete(item_id: ItemId) -> Response:
        entry = gallery.delete(item_id)
        deleted()
        return answer(links.item(entry))

    @routes.post(
        f"{path}/undo",
        summary="Bring a deleted file back",
        responses={200: {"model": GalleryItem, "description": "It is there again"}},
    )
    def undo(item_id: ItemId) -> Response:
        return answer(links.item(gallery.undo(item_id)))


def _add_file(routes: APIRouter, gallery: Gallery) -> None:
    path = f"{PATH}/{{id}}/file"

    @routes.get(path, summary="The file itself", response_class=StreamingResponse, responses=ANSWERS)
    def file(
        request: Request,
        item_id: ItemId,
        wanted_range: Range = None,
        if_range: IfRange = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Takes `Range` (one range), `If-Range` and `If-None-Match`."""
        entry = gallery.get(item_id)
        sent = SentFile(gallery.path(entry), entry.filename, entry.media_type, entry.size_bytes, entry.sha256)
        return send(sent, wanted_range, if_range, if_none_match, whole=request.method != "HEAD")

    routes.add_api_route(path, file, methods=["HEAD"], include_in_schema=False)


def _add_thumbnail(routes: APIRouter, gallery: Gallery) -> None:
    path = f"{PATH}/{{id}}/thumbnail"

    @routes.get(path, summary="A small picture of a picture", response_class=StreamingResponse, responses=ANSWERS)
    def thumbnail(
        request: Request,
        item_id: ItemId,
        side: Annotated[
            int,
            Query(
                ge=16,
                le=1024,
                description="Its longest side in pixels, or the next of 128, 256, 512 and 1024",
                examples=[256],
            ),
        ] = 256,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """A WebP. Made when first asked for, and kept."""
        entry = gallery.get(item_id)
        tag = f"{entry.sha256[:32]}-{side}"
        name = f"{entry.filename}.webp"
        if has_it(if_none_match, tag):
            return Response(status_code=304, headers=headers_of(name, _THUMBNAIL_TYPE, tag))
        made = gallery.thumbnail(entry, side)
        if made is None:
            message = "There is no thumbnail of it: it is no picture that can be read."
            raise InvalidInput(message, [Detail(field="id", code="no_picture", message=message)])
        try:
            sent = SentFile(made, name, _THUMBNAIL_TYPE, made.stat().st_size, tag)
        except FileNotFoundError:
            raise GalleryItemNotFound("It was deleted just now.") from None
        return send(sent, None, None, None, whole=request.method != "HEAD")

    routes.add_api_route(path, thumbnail, methods=["HEAD"], include_in_schema=False)
