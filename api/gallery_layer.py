"""The gallery put together: its folder and index, what looks after them, and its routes, over the job layer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fastapi import APIRouter

from .gallery.caretaker import Caretaker
from .gallery.files import GalleryFolder
from .gallery.gallery import Gallery
from .job_layer import JobLayer
from .lasting import spool_root
from .routes.paths import COMFY_INGEST, INGEST_ROOM_BYTES
from .settings import Settings

_BELOW_ROOT = Path("generated") / "comfy"
_NOTED = "taken.json"


@dataclass(frozen=True)
class GalleryLayer:
    """What has to be started and stopped, and the gallery itself."""

    gallery: Gallery
    max_bytes: int
    is_served: bool
    caretaker: Caretaker

    def start(self) -> None:
        """Start the thread that looks after it."""
        if self.is_served:
            self.caretaker.start()

    def stop(self) -> None:
        """Stop that thread; requests are still answered."""
        self.caretaker.stop()

    def routers(self, sign: Callable[[str, float], str | None]) -> list[APIRouter]:
        """The routes. `sign` makes tokens for links."""
        if not self.is_served:
            return []
        from .routes import comfy_gallery, comfy_ingest
        from .routes.gallery_item import GalleryLinks

        links = GalleryLinks(sign)
        return [
            comfy_ingest.router(self.gallery, links),
            comfy_gallery.router(self.gallery, links, self.caretaker.wake),
        ]

    @property
    def body_limits(self) -> dict[str, int]:
        """Bodies of its own size, by path."""
        return {COMFY_INGEST: self.max_bytes + INGEST_ROOM_BYTES}


def build_gallery(layer: JobLayer) -> GalleryLayer:
    """Make the gallery over a job layer, to whose ends it listens from now on. Starts no thread.

    Raises InvalidSettings when its folder cannot be made.
    """
    settings = layer.settings
    folder = GalleryFolder(folder_of(settings, layer.spool.root))
    gallery = _gallery(settings, folder, partial(layer.spool.check_room_in, folder.root))
    mode = settings.comfy_gallery_generated
    caretaker = Caretaker(
        gallery,
        layer.service,
        noted=None if mode == "off" else folder.own / _NOTED,
        lasting=mode == "always",
        archive=settings.output_dir if settings.output_files else None,
        interval_s=settings.cleanup_interval_s,
    )
    if settings.comfy_enabled:
        layer.service.on_end(caretaker.note_end)
        layer.service.on_forget(caretaker.note_gone)
    return GalleryLayer(gallery, settings.max_upload_bytes, settings.comfy_enabled, caretaker)


def reindex(settings: Settings) -> tuple[Path, int]:
    """Make the index anew from the sidecars: the folder, and how many files it holds. Raises InvalidSettings."""
    folder = GalleryFolder(folder_of(settings, spool_root(settings)))
    gallery = _gallery(settings, folder, lambda _bytes: None)
    try:
        return folder.root, gallery.reindex()
    finally:
        gallery.close()


def folder_of(settings: Settings, spool: Path) -> Path:
    """Where the gallery is kept."""
    return settings.comfy_image_dir or (settings.root_dir or spool) / _BELOW_ROOT


def _gallery(settings: Settings, folder: GalleryFolder, check_room: Callable[[int], None]) -> Gallery:
    # Workers on several machines may share the folder, but no SQLite file: each has an index of its own.
    path = settings.sqlite_db_path
    return Gallery(
        folder,
        max_bytes=settings.max_upload_bytes,
        max_pixels=settings.max_input_pixels,
        undo_s=settings.comfy_gallery_undo_s,
        index=path.with_name(f"{path.name}.gallery") if settings.database_url else None,
        check_room=check_room,
    )
