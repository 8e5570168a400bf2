"""/api/comfy put together: its routes over the job layer, the pool and the gallery. Imported with the first of them."""

from fastapi import APIRouter

from .comfyui.catalog import Catalog
from .job_layer import JobLayer
from .jobs.watching import Watch
from .models.contents import ModelContents
from .models.folders import ModelFolders
from .pool.foreign import Foreign
from .routes import comfy_api, comfy_object_info, comfy_stream, comfy_text2img, comfy_view
from .routes.auth import Guard
from .routes.comfy_events import Backoff
from .routes.comfy_prompts import Prompts
from .routes.links import OutputLinks


def routers(layer: JobLayer, guard: Guard) -> list[APIRouter]:
    """The routes, to be asked before named workflows; where the surface is switched off, those that say so."""
    settings = layer.settings
    if not settings.comfy_enabled:
        return [comfy_api.health_router(), comfy_api.disabled_router()]
    roster = layer.core.comfy.roster
    foreign = Foreign(roster)
    prompts = Prompts(layer.service, foreign)
    links = OutputLinks(guard.sign)
    backoff = Backoff(
        settings.comfy_reconnect_max_attempts,
        settings.comfy_reconnect_base_delay_s,
        settings.comfy_reconnect_max_delay_s,
    )
    return [
        comfy_api.health_router(
            lambda: comfy_api.Service(settings.comfy_url, settings.comfy_read_timeout_s, roster.facts())
        ),
        comfy_api.router(prompts, links),
        comfy_object_info.router(foreign.catalog),
        comfy_view.router(layer.service, foreign, settings.work_dir),
        comfy_stream.router(Watch(layer.service, layer.hub), prompts, links, guard.sign, backoff),
    ]


def text2img(layer: JobLayer, folders: ModelFolders) -> APIRouter:
    """Text-to-image; the model files in `folders` tell what they are."""
    roster = layer.core.comfy.roster

    def catalogs() -> list[Catalog]:
        # Jobs go to those that are well; what the others offer is of use only where none is.
        return [member.catalog for member in roster.takers or roster.members]

    return comfy_text2img.router(layer.service, catalogs, ModelContents(folders).shapes)
