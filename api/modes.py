"""The two ways the worker is launched, and which of them the environment asks for."""

import functools
import gc
import sys

from . import logs, wiring
from .errors import InvalidSettings, WorkerError
from .settings import Settings, load_settings


def start() -> int:
    """Start the mode the environment asks for. Returns the exit status of a mode that ends by itself."""
    try:
        settings = load_settings()
        if not settings.http_api_mode:
            return take_jobs(settings)
        if sys.argv[1:]:
            # The SDK's options, which the other mode takes, mean nothing here.
            given = " ".join(sys.argv[1:])
            raise InvalidSettings(
                f"HTTP API mode takes no arguments ({given}): set environment variables in their place, such as "
                "API_PORT, API_HOST and LOG_LEVEL."
            )
        return serve(settings)
    except WorkerError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1


def serve(settings: Settings) -> int:
    """The HTTP API, until a signal. Raises InvalidSettings, StoreUnavailable."""
    # FastAPI and the stores are of no use to the other mode, and the SDK of none to this one. What modules make at
    # their import lives for ever: looking for garbage among it takes a fifth of the time until the first answer.
    gc.disable()
    # FastAPI looks for it at its import, 20 ms; nothing here has fields for e-mail addresses.
    sys.modules["email_validator"] = None  # type: ignore[assignment]
    from . import serving

    del sys.modules["email_validator"]
    gc.freeze()
    gc.enable()
    logs.configure(settings.log_level, settings.log_format)
    return serving.serve(settings)


def take_jobs(settings: Settings) -> int:
    """RunPod serverless, or what the SDK's own arguments ask for instead. Raises InvalidSettings."""
    from . import serverless

    logs.configure(settings.log_level, settings.log_format)
    serverless.prepare_environment(system_checks=settings.runpod_system_checks, log_level=settings.log_level)
    services = wiring.build(settings)
    wiring.watch_pool(services)
    adapter = serverless.ServerlessAdapter(
        services.handler,
        # A worker that is replaced after each job must not have a second one under way.
        concurrency=1 if settings.refresh_worker else _concurrency(settings),
        progress_interval_s=settings.progress_interval_s,
        refresh_worker=settings.refresh_worker,
        inline_limit_bytes=wiring.inline_limit_bytes(settings),
        shutdown_grace_s=settings.shutdown_grace_s,
    )
    try:
        serverless.run(adapter, functools.partial(wiring.get_ready, services))
    finally:
        services.close()
    return 0


def _concurrency(settings: Settings) -> int | None:
    """Jobs taken at a time; None adapts, which is for one ComfyUI."""
    instances = len(settings.comfy_addresses)
    several = instances * settings.max_jobs_per_instance if instances > 1 else None
    return settings.worker_concurrency or several
