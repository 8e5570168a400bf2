"""/api/comfy put together: its routes over the job layer and the pool."""

from fastapi import APIRouter

from .job_layer import JobLayer
from .jobs.watching import Watch
from .pool.foreign import Foreign
from .routes import comfy_api, comfy_object_info, comfy_stream, comfy_view
from .routes.auth import Guard
from .routes.comfy_events import Backoff
from .routes.comfy_prompts import Prompts
from .routes.limits import Rate
from .routes.links import OutputLinks
from .settings import Settings


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


def rates_of(settings: Settings) -> list[Rate]:
    """The rate limit of the files."""
    rate = settings.comfy_view_rate
    return [Rate(rate, comfy_view.PATH)] if settings.comfy_enabled and rate else []
