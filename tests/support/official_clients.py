"""The official RunPod clients against RUNPOD_ENDPOINT_BASE_URL; what each call gave is printed as one JSON object.

Arguments: sync or async, the API key. Nothing of the SDK is changed, except that naming the CPU takes no second.
"""

import asyncio
import json
import sys
import types
from typing import Any

import requests
from support import sample_jobs

sys.modules["cpuinfo"] = types.ModuleType("cpuinfo")
sys.modules["cpuinfo"].get_cpu_info = dict  # type: ignore[attr-defined]

import runpod  # noqa: E402
from runpod.http_client import AsyncClientSession  # noqa: E402

FLAT = {"workflow": sample_jobs.flat(1)}
SLOW = {"workflow": sample_jobs.slow(30)}
BRIEF = {"workflow": sample_jobs.slow(1.5)}
WRONG = {"workflow": {"1": sample_jobs.node("NoSuchNode")}}


def raised(call: Any, *arguments: Any) -> str:
    try:
        call(*arguments)
    except (RuntimeError, requests.HTTPError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def sync(key: str) -> dict[str, Any]:
    runpod.api_key = key  # type: ignore[attr-defined]
    endpoint = runpod.Endpoint("any")
    found: dict[str, Any] = {}
    job = endpoint.run(FLAT)
    found["id"] = job.job_id
    found["output"] = job.output(timeout=30)
    found["status"] = job.status()
    found["run_sync"] = endpoint.run_sync({"input": FLAT, "policy": {"executionTimeout": 60_000}})
    failed = endpoint.run({"input": WRONG})
    failed.output(timeout=30)
    found["failed"] = failed.status()
    found["stream"] = list(endpoint.run(BRIEF).stream())
    running, *waiting = endpoint.run(SLOW), endpoint.run(SLOW), endpoint.run(SLOW)
    while running.status() != "IN_PROGRESS":
        pass
    found["progress"] = running.output()
    found["waiting"] = [each.status() for each in waiting]
    found["health"] = endpoint.health()
    found["purged"] = endpoint.purge_queue()
    found["purged status"] = [each.status() for each in waiting]
    found["cancel"] = running.cancel()
    found["stream of a cancelled job"] = [chunk for chunk in running.stream() if "images" in chunk]
    found["cancelled"] = runpod.endpoint.runner.Job("any", running.job_id, running.rp_client).status()
    found["unknown"] = raised(runpod.endpoint.runner.Job("any", "nope", running.rp_client).status)
    found["no job"] = raised(endpoint.run, {"input": {"no": "workflow"}})
    stranger = runpod.Endpoint("any", api_key="wrong")
    found["wrong key"] = [raised(stranger.run, FLAT), raised(stranger.run_sync, FLAT), raised(stranger.health)]
    return found


async def asynchronous(key: str) -> dict[str, Any]:
    runpod.api_key = key  # type: ignore[attr-defined]
    found: dict[str, Any] = {}
    async with AsyncClientSession() as session:
        endpoint = runpod.AsyncioEndpoint("any", session)
        job = await endpoint.run(FLAT)
        found["output"] = await job.output(timeout=30)
        found["status"] = await job.status()
        found["stream"] = [chunk async for chunk in (await endpoint.run(BRIEF)).stream()]
        running, waiting = await endpoint.run(SLOW), await endpoint.run(SLOW)
        while await running.status() != "IN_PROGRESS":
            pass
        found["health"] = await endpoint.health()
        found["purged"] = await endpoint.purge_queue()
        found["purged status"] = await waiting.status()
        found["cancel"] = await running.cancel()
        found["stream of a cancelled job"] = [chunk async for chunk in running.stream() if "images" in chunk]
    return found


if __name__ == "__main__":
    mode, api_key = sys.argv[1:]
    print(json.dumps(sync(api_key) if mode == "sync" else asyncio.run(asynchronous(api_key))))
