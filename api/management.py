"""The management surface put together: models, metrics, the stream and their routes, over the job layer."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from .comfyui.client import ComfyClient
from .gpu import GpuProbe, SystemStats
from .job_layer import JobLayer
from .jobs.broadcast import Broadcast
from .jobs.gallery import Gallery
from .jobs.measured import Phase
from .jobs.watching import Watch
from .metrics import Metrics, State
from .models.downloads import Downloads
from .models.fetch import ModelFetcher
from .models.folders import ModelFolders
from .models.hashes import HashBook, Hasher
from .models.listing import ModelListing
from .models.source import AllowedHosts, PresignS3, Sources
from .models.watcher import FolderWatcher
from .outputs.folder import OutputFolder
from .routes import exposition, management, management_models, management_stream
from .routes.auth import Guard
from .routes.exposition import Timing
from .routes.limits import Rate
from .routes.management import StatusFacts
from .routes.management_events import Telling
from .routes.management_words import output_object
from .s3 import S3Connection
from .sampling import Sampler
from .settings import Settings
from .wiring import bucket_connection

OPERATOR_PATHS = management_models.OPERATOR_PATHS
LATE_PATHS = (management_stream.PATH,)
_NETWORK_VOLUME = Path("/runpod-volume")
_MB, _GB = 1_000_000, 1_000_000_000
_PRESIGNED_S = 24 * 3600

# `{"name", "status", "reason"?, "breaker"?}` of each ComfyUI.
Instances = Callable[[], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class ManagementLayer:
    """What the surface is made of, and what has to be started and stopped."""

    layer: JobLayer
    metrics: Metrics
    folders: ModelFolders
    book: HashBook
    downloads: Downloads
    hasher: Hasher
    watcher: FolderWatcher
    sampler: Sampler
    instances: Instances
    version: str
    clients: management_stream.Clients
    began_at: float

    def start(self) -> None:
        """Start the threads."""
        for each in (self.sampler, self.hasher, self.watcher):
            each.start()

    def stop(self) -> None:
        """Stop the threads, and what is being fetched."""
        self.downloads.stop()
        for each in (self.sampler, self.hasher, self.watcher):
            each.stop()

    @property
    def timing(self) -> Timing:
        """Who hears of requests."""
        return Timing(self.metrics.note_request, self.metrics.note_sockets)

    def routers(self, guard: Guard) -> list[APIRouter]:
        """The routes of the surface."""
        service = self.layer.service
        gallery = Gallery(service)
        telling = Telling(lambda job_id: [output_object(made) for made in gallery.of(service.get(job_id))])
        surface = management.Management(
            service,
            gallery,
            self._status,
            clock=time.time,
            folder=OutputFolder(self.layer.settings.comfyui_outputs),
        )
        return [
            exposition.router(self.metrics.exposition),
            # Before the surface, whose workflow ids stand at other places.
            management_stream.router(
                Broadcast(Watch(service, self.layer.hub), telling), guard.knows, guard.sign, self.clients
            ),
            management_models.router(ModelListing(self.folders, self._comfyuis), self.book, self.downloads),
            management.router(surface),
        ]

    def _comfyuis(self) -> list[ComfyClient]:
        return [member.instance.client for member in self.layer.core.comfy.roster.takers]

    def _status(self) -> StatusFacts:
        instances = self.instances()
        return StatusFacts(
            version=self.version,
            uptime_s=time.monotonic() - self.began_at,
            counts=self.layer.service.counts(),
            is_paused=self.layer.service.paused(),
            instances=instances,
            stream_clients=self.clients.count,
            problems=[
                *(str(each["reason"]) for each in instances if each.get("reason")),
                *self.layer.targets.troubles(),
            ],
            gpus=self.layer.core.places.words(),
            remotes=self.layer.targets.facts(),
        )


def build_management(
    layer: JobLayer, instances: Instances, system_stats: Callable[[], Mapping[str, SystemStats]], version: str
) -> ManagementLayer:
    """Make the surface over a job layer, which it listens to from now on. Starts no thread. Raises InvalidSettings."""
    settings = layer.settings
    sampler = Sampler(GpuProbe(system_stats, is_here=_is_here(settings)), layer.spool.root)
    metrics = Metrics(version, lambda: _state(layer, instances, sampler))
    layer.service.on_end(metrics.note_end)
    layer.service.on_accept(metrics.note_accept)
    layer.hub.listen(metrics.note_update)
    layer.webhooks.on_try(metrics.note_webhook)
    if layer.deploy is not None:
        layer.deploy.tries.listen(metrics.deploy.note)
    folders = ModelFolders(
        [settings.comfy_root / "models", _NETWORK_VOLUME / "models"],
        _own_folders(settings),
    )
    book = HashBook(layer.spool.root / "model-hashes.json")
    hasher = Hasher(
        book,
        lambda: [model.file for model in folders.models()],
        is_busy=lambda: layer.targets.local.running() > 0,
    )

    def changed() -> None:
        folders.changed()
        hasher.wake()

    return ManagementLayer(
        layer=layer,
        metrics=metrics,
        folders=folders,
        book=book,
        downloads=_downloads(settings, folders, book),
        hasher=hasher,
        watcher=FolderWatcher(folders.watched, changed),
        sampler=sampler,
        instances=instances,
        version=version,
        clients=management_stream.Clients(),
        began_at=time.monotonic(),
    )


def rates_of(settings: Settings) -> list[Rate]:
    """The rate limits, the closest first."""
    own = settings.management_rate_limit
    return [
        *([Rate(own, management.PREFIX, per_address=True)] if own else []),
        *([Rate(settings.rate_limit)] if settings.rate_limit else []),
    ]


def _is_here(settings: Settings) -> bool:
    """Whether the GPUs of this machine are those that work for it."""
    return any(each.is_local for each in settings.comfy_addresses)


def _own_folders(settings: Settings) -> dict[str, Path]:
    given = {
        "checkpoints": settings.comfyui_models_checkpoints,
        "loras": settings.comfyui_models_loras,
        "vae": settings.comfyui_models_vae,
        "controlnet": settings.comfyui_models_controlnet,
        "upscale": settings.comfyui_models_upscale,
    }
    return {name: path for name, path in given.items() if path is not None}


def _downloads(settings: Settings, folders: ModelFolders, book: HashBook) -> Downloads:
    hosts = AllowedHosts(settings.model_download_hosts)
    connection = bucket_connection(settings)
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    return Downloads(
        Sources(hosts, settings.hf_endpoint, token, _presigning(connection) if connection else None),
        folders,
        ModelFetcher(
            hosts,
            max_bytes=int(settings.model_download_max_gb * _GB),
            min_free_bytes=settings.min_free_disk_mb * _MB,
        ),
        book,
        pickles=settings.model_download_pickles,
    )


def _presigning(connection: S3Connection) -> PresignS3:
    def presign(bucket: str, key: str) -> str:
        connection.check_own(bucket, key)
        return connection.presigned_url(key, _PRESIGNED_S)

    return presign


def _state(layer: JobLayer, instances: Instances, sampler: Sampler) -> State:
    executing_s: dict[str, float] = {}
    for live in layer.targets.live().values():
        if live.phase is Phase.EXECUTING and live.instance:
            executing_s[live.instance] = max(executing_s.get(live.instance, 0.0), live.executing_s)
    return State(
        counts=layer.service.counts(),
        is_paused=layer.service.paused(),
        free_bytes=layer.spool.free_bytes(),
        spool_bytes=sampler.spool_bytes,
        instances=instances(),
        remotes=layer.targets.facts(),
        gpus=sampler.gpus,
        executing_s=executing_s,
    )
