"""What happens to a prompt as the events of /api/comfy/stream: status, warning, error, images. Knows no transport."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..comfyui.lookup import Place
from ..errors import ComfyError, JobNotFound
from ..ids import JobId
from ..jobs.view import Frame
from ..jobs.watching import Watch
from ..pool.foreign import Sighting
from .comfy_outputs import Addresses, JobOutputs
from .comfy_prompts import ENDED, Prompts, error_of, job_object, sighted

# A look at ComfyUI costs it a millisecond; one that changes nothing doubles the pause.
_SLOWEST_LOOK_S = 5.0
# In pieces of it, so that a server that stops is not held up.
_PATIENCE_S = 1.0
_POLLED = {
    "code": "POLLED",
    "message": "Others queued this prompt: ComfyUI is asked now and then where it is, and tells no progress.",
}
_GONE = {"code": "PROMPT_LOST", "message": "ComfyUI has no trace of the prompt any more: taken out, or forgotten."}

# Of a job that goes on, whatever the store knew when it was asked.
_OPEN = {"finished_at": None, "error": None}


class Event(NamedTuple):
    """One event; `data` is JSON. With an `id` the reader can come back to this place."""

    name: str
    data: Mapping[str, Any]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Backoff:
    """How a ComfyUI that does not answer is asked again: so often in a row, with pauses that double. Seconds."""

    attempts: int = 5
    base_s: float = 0.5
    longest_s: float = 30.0

    def pause_s(self, failures: int) -> float:
        """The pause after so many failures in a row."""
        return min(self.longest_s, self.base_s * 2.0 ** min(failures - 1, 30))


Events = AsyncGenerator[Event | None, None]


class JobTelling:
    """Makes events of the frames of one of our jobs."""

    def __init__(self, watch: Watch, prompts: Prompts, addresses: Addresses) -> None:
        self._watch = watch
        self._prompts = prompts
        self._addresses = addresses

    async def events(self, job_id: JobId, last_id: str | None) -> Events:
        """The present state, or what came after `last_id`, then all news to the end. None where nothing is new."""
        # What is resumed begins in the middle, and each status is a whole one.
        state = job_object(await self._watch.job(job_id), None)
        async with aclosing(self._watch.frames(job_id, last_id)) as frames:
            async for frame in frames:
                if frame is None:
                    yield None
                    continue
                for event in await self._told(frame, state):
                    yield event

    async def _told(self, frame: Frame, state: dict[str, Any]) -> list[Event]:
        data = frame.data
        match frame.event:
            case "snapshot":
                state |= job_object(await self._watch.job(data["job_id"]), data["position"])
                state |= _progress(data)
                return [] if state["status"] in ENDED else [Event("status", dict(state), frame.id)]
            case "queued":
                state |= {"status": "queued", "position": data["position"], "progress": 0.0, "node": None, **_OPEN}
            case "started":
                begun = state["started_at"] or data["at"]
                state |= {"status": "running", "position": None, "started_at": begun, **_OPEN}
            case "progress":
                state |= {"status": "running", "position": None, **_progress(data), **_OPEN}
            case "warning":
                return [_event("warning", state, data, frame.id)]
            case "finished":
                return await asyncio.to_thread(self._end, data["job_id"], frame.id)
            case _:
                return []
        return [Event("status", dict(state), frame.id)]

    def _end(self, job_id: JobId, event_id: str | None) -> list[Event]:
        """What it has made or why it has not, then how it ended; whoever misses one of them gets all again."""
        job = self._prompts.service.get(job_id)
        outputs = JobOutputs(self._prompts.service, job)
        images, error = outputs.images(self._addresses), error_of(job)
        told = {"prompt_id": job.id}
        events = [_event("warning", told, warning) for warning in outputs.warnings()]
        if images:
            events.append(Event("images", {**told, "images": images}))
        if error:
            events.append(_event("error", told, error))
        return [*events, Event("status", {**job_object(job, None), "images": images}, event_id)]


def _progress(data: Mapping[str, Any]) -> dict[str, Any]:
    named = {"progress": data["percent"], "node": data["node_id"]}
    return {**named, "step": data["step"], "steps": data["steps"]}


def _event(name: str, about: Mapping[str, Any], data: Mapping[str, Any], event_id: str | None = None) -> Event:
    told = {"prompt_id": about["prompt_id"], "code": data["code"], "message": data["message"]}
    return Event(name, told, event_id)


def place_of(sighting: Sighting) -> str:
    """The id of an event that told this: a reader who has it knows no less."""
    found = sighting.found
    verdict = found.entry.verdict if found.entry else ""
    told = f"{sighting.prompt_id} {sighting.instance} {found.place} {found.ahead} {verdict}"
    return f"seen-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


class ForeignTelling:
    """Makes events of what looks at ComfyUI find about somebody else's prompt."""

    def __init__(self, prompts: Prompts, addresses: Addresses, backoff: Backoff) -> None:
        self._prompts = prompts
        self._addresses = addresses
        self._backoff = backoff

    async def events(self, sighting: Sighting, last_id: str | None) -> Events:
        """The present state, unless `last_id` says that it is known, then what is new, to the end. None in between."""
        if place_of(sighting) != last_id:
            if sighting.found.place is not Place.FINISHED:
                yield _event("warning", {"prompt_id": sighting.prompt_id}, _POLLED)
            for event in self._told(sighting):
                yield event
        failures, pause_s = 0, self._backoff.base_s
        while sighting.found.place is not Place.FINISHED:
            async for _ in _ticks(self._backoff.pause_s(failures) if failures else pause_s):
                yield None
            seen = await asyncio.to_thread(self._look, sighting)
            failures = failures + 1 if isinstance(seen, ComfyError) else 0
            for event in self._news(sighting, seen, failures):
                yield event
            if isinstance(seen, JobNotFound) or failures > self._backoff.attempts:
                return
            if isinstance(seen, Sighting):
                is_same = place_of(seen) == place_of(sighting)
                pause_s = min(pause_s * 2, _SLOWEST_LOOK_S) if is_same else self._backoff.base_s
                sighting = seen

    def _look(self, sighting: Sighting) -> Sighting | JobNotFound | ComfyError:
        try:
            return self._prompts.foreign.find(sighting.prompt_id, sighting.instance)
        except (JobNotFound, ComfyError) as error:
            return error

    def _news(self, before: Sighting, seen: Sighting | JobNotFound | ComfyError, failures: int) -> list[Event]:
        about = {"prompt_id": before.prompt_id}
        if isinstance(seen, Sighting):
            return self._told(seen) if place_of(seen) != place_of(before) else []
        if isinstance(seen, JobNotFound):
            return self._lost(before)
        told = {"code": seen.code, "message": seen.message}
        if failures > self._backoff.attempts:
            return [_event("error", about, told)]
        return [_event("warning", about, told)] if failures == 1 else []

    def _told(self, sighting: Sighting) -> list[Event]:
        status = sighted(sighting, self._addresses)
        about = {"prompt_id": sighting.prompt_id}
        events = [Event("images", {**about, "images": status["images"]})] if status["images"] else []
        if status["error"]:
            events.append(_event("error", about, status["error"]))
        return [*events, Event("status", status, place_of(sighting))]

    def _lost(self, sighting: Sighting) -> list[Event]:
        status = {**sighted(sighting, self._addresses), "status": "failed", "position": None, "progress": None}
        about = {"prompt_id": sighting.prompt_id}
        return [_event("error", about, _GONE), Event("status", {**status, "error": dict(_GONE)})]


async def _ticks(seconds: float) -> AsyncGenerator[None, None]:
    """Waits, and says so every now and then."""
    while seconds > 0:
        await asyncio.sleep(min(seconds, _PATIENCE_S))
        seconds -= _PATIENCE_S
        yield None


def text_of(event: Event) -> str:
    """Its data on the wire."""
    return json.dumps(event.data, separators=(",", ":"))
