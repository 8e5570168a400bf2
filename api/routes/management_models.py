"""/v1/comfyui/models: which models there are, and having more fetched."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from ..jobs.request_fields import Fields, Text
from ..jobs.request_findings import validated
from ..models.downloads import Download, Downloads, Wanted
from ..models.folders import Model
from ..models.hashes import HashBook
from ..models.listing import ModelListing, OfferedModel
from .answers import answer
from .body import JsonBody
from .management_words import ms
from .openapi import request_body

OPERATOR_PATHS = ("/v1/comfyui/models/download", "/v1/comfyui/models/downloads")
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_MODEL: dict[str, Any] = {"name": "model-name.safetensors", "type": "checkpoints", "size": 4294967296, "hash": None}
_DOWNLOAD: dict[str, Any] = {
    "downloadId": "5f0c9a7e118b4c02",
    "url": "https://huggingface.co/org/repo/resolve/main/model.safetensors",
    "type": "loras",
    "name": "model.safetensors",
    "status": "downloading",
    "progress": 42,
    "downloadedBytes": 1804000000,
    "totalBytes": 4294967296,
    "hash": None,
    "error": None,
    "createdAt": 1704067200000,
    "completedAt": None,
}


class ModelEntry(BaseModel):
    """A model file. `size` in bytes; `hash` is its SHA-256, null until it has been computed in the background.

    Both are null for a file that only a ComfyUI on another machine has.
    """

    model_config = ConfigDict(json_schema_extra={"example": _MODEL})
    name: str
    type: str
    size: int | None
    hash: str | None


class ModelList(BaseModel):
    """Models, by type and name."""

    model_config = ConfigDict(json_schema_extra={"example": {"models": [_MODEL]}})
    models: list[ModelEntry]


class DownloadRequest(Fields):
    """Fetch a model. `url`: http(s), `hf://org/repo/path[@revision]` or `s3://` of the worker's own bucket.

    `name` may have subfolders, without it the URL's is taken; `sha256` is what the file has to be.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "url": "https://huggingface.co/org/repo/resolve/main/model.safetensors",
                "type": "loras",
                "sha256": _SHA256,
            }
        }
    )
    url: Text = Field(description="http(s), hf://org/repo/path[@revision] or s3:// of the worker's own bucket")
    type: Text = Field(description="The folder of models it goes to, as GET /v1/comfyui/models has them")
    name: Text | None = Field(None, description="Its name, which may have subfolders; none = that of the URL")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = Field(
        None, description="What the file has to be, in hex"
    )
    overwrite: bool = Field(False, description="Replace a file of that name")


class DownloadEntry(BaseModel):
    """A download. `progress` is 0 to 100; times are epoch milliseconds; `error` says why it failed."""

    model_config = ConfigDict(json_schema_extra={"example": _DOWNLOAD})
    downloadId: str  # noqa: N815 - as the rest of this surface, here and below
    url: str
    type: str
    name: str
    status: Literal["queued", "downloading", "verifying", "completed", "failed", "cancelled"]
    progress: int | None
    downloadedBytes: int  # noqa: N815
    totalBytes: int | None  # noqa: N815
    hash: str | None
    error: str | None
    createdAt: int  # noqa: N815
    completedAt: int | None  # noqa: N815


class DownloadList(BaseModel):
    """Downloads, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"downloads": [_DOWNLOAD]}})
    downloads: list[DownloadEntry]


def router(listing: ModelListing, book: HashBook, downloads: Downloads) -> APIRouter:
    """/v1/comfyui/models and what is below it."""
    routes = APIRouter(tags=["models"])
    path = "/v1/comfyui/models"
    one = f"{path}/download/{{download_id}}"
    answers: Any = {200: {"model": DownloadEntry, "description": "The download"}}

    @routes.get(
        path,
        summary="Models",
        responses={200: {"model": ModelList, "description": "Those of a type, or all"}},
    )
    def models(
        model_type: Annotated[
            str | None,
            Query(
                alias="type",
                description="checkpoints, loras, vae, controlnet, upscale or another of ComfyUI's folders",
                examples=["checkpoints"],
            ),
        ] = None,
    ) -> Response:
        found = listing.models(listing.type_of(model_type) if model_type else None)
        return answer({"models": [_model_object(model, book) for model in found]})

    @routes.post(
        f"{path}/download",
        summary="Fetch a model",
        description="Answers at once; ask for the download by its id. What broke off is gone on with the next time.",
        status_code=202,
        responses={202: {"model": DownloadEntry, "description": "The download has begun"}},
        openapi_extra=request_body(DownloadRequest),
    )
    async def start(body: JsonBody) -> Response:
        wanted = _wanted(body)
        download = await run_in_threadpool(downloads.start, wanted)
        return answer(_download_object(download), 202, {"Location": one.format(download_id=download.id)})

    @routes.get(
        f"{path}/downloads",
        summary="Downloads of models",
        responses={200: {"model": DownloadList, "description": "Those under way, and the last that ended"}},
    )
    def all_downloads() -> Response:
        return answer({"downloads": [_download_object(each) for each in downloads.all()]})

    @routes.get(one, summary="A download of a model", responses=answers)
    def download(download_id: str) -> Response:
        return answer(_download_object(downloads.get(download_id)))

    @routes.delete(one, summary="Stop a download; what has come is kept for the next try", responses=answers)
    def cancel(download_id: str) -> Response:
        return answer(_download_object(downloads.cancel(download_id)))

    return routes


def _wanted(body: Mapping[str, Any]) -> Wanted:
    return Wanted(**validated(DownloadRequest, body).model_dump())


def _model_object(model: Model | OfferedModel, book: HashBook) -> dict[str, Any]:
    if isinstance(model, OfferedModel):
        return {"name": model.name, "type": model.type, "size": None, "hash": None}
    file = model.file
    return {"name": file.name, "type": model.type, "size": file.size_bytes, "hash": book.of(file)}


def _download_object(download: Download) -> dict[str, Any]:
    total = download.total_bytes
    return {
        "downloadId": download.id,
        "url": download.url,
        "type": download.type,
        "name": download.name,
        "status": download.status.value,
        "progress": download.done_bytes * 100 // total if total else None,
        "downloadedBytes": download.done_bytes,
        "totalBytes": total,
        "hash": download.sha256,
        "error": download.error.message if download.error else None,
        "createdAt": ms(download.created_at),
        "completedAt": ms(download.finished_at),
    }
