"""A prompt as /api/comfy tells it, whoever queued it: a job of this worker, or somebody else's in a ComfyUI."""

from dataclasses import dataclass
from typing import Any

from ..comfyui.history import Verdict
from ..comfyui.lookup import Place
from ..errors import JobNotFound
from ..ids import PromptId
from ..jobs.job import Job, Status
from ..jobs.service import JobService
from ..pool.foreign import Foreign, Sighting
from .comfy_outputs import Addresses, JobOutputs, foreign_files, foreign_items
from .dialects import job_id_of
from .management_words import WORDS

ENDED = frozenset({"completed", "failed", "cancelled"})
_PLACES = {Place.PENDING: "queued", Place.RUNNING: "running"}
_VERDICTS = {Verdict.SUCCESS: "completed", Verdict.ERROR: "failed", Verdict.INTERRUPTED: "cancelled"}
_IN_HISTORY = ("prompt_id", "status", "progress", "images")

Told = dict[str, Any]


@dataclass(frozen=True)
class Prompts:
    """Its methods ask the disk or a ComfyUI, so in a thread. Raise JobNotFound, ComfyUnreachable."""

    service: JobService
    foreign: Foreign

    def find(self, prompt_id: str) -> Job | Sighting:
        """The job, else where a ComfyUI has the prompt."""
        job_id = job_id_of(prompt_id)
        try:
            return self.service.get(job_id)
        except JobNotFound:
            return self.foreign.find(PromptId(prompt_id))

    def status(self, prompt_id: str, addresses: Addresses) -> Told:
        """How it stands."""
        return self.status_of(self.find(prompt_id), addresses)

    def status_of(self, found: Job | Sighting, addresses: Addresses) -> Told:
        """How it stands, of one that was found."""
        if isinstance(found, Sighting):
            return sighted(found, addresses)
        position = self.service.position(found.id) if found.status is Status.QUEUED else None
        outputs = JobOutputs(self.service, found)
        return {**job_object(found, position), "images": outputs.images(addresses)}

    def history(self, prompt_id: str, addresses: Addresses) -> Told:
        """What it has made."""
        found = self.find(prompt_id)
        status = self.status_of(found, addresses)
        told = {key: status[key] for key in _IN_HISTORY}
        return {**told, "items": self._items(found, addresses), "error": status["error"]}

    def _items(self, found: Job | Sighting, addresses: Addresses) -> list[Told]:
        if isinstance(found, Sighting):
            entry = found.found.entry
            return foreign_items(entry, found.instance, addresses) if entry else []
        return JobOutputs(self.service, found).items(addresses)


def job_object(job: Job, position: int | None) -> Told:
    """A job as it stands, without its pictures."""
    is_running = WORDS[job.status] == "running"
    return {
        "prompt_id": job.id,
        "status": WORDS[job.status],
        "progress": 100.0 if job.status is Status.SUCCEEDED else round(job.progress * 100, 2),
        "position": position,
        "node": job.node if is_running else None,
        "step": job.step if is_running else None,
        "steps": job.steps if is_running else None,
        "instance": job.instance,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "error": error_of(job),
    }


def error_of(job: Job) -> Told | None:
    """Why an ended job did not succeed; being cancelled is no error."""
    if job.error is None or not job.is_terminal or job.status is Status.CANCELLED:
        return None
    return {"code": job.error.code, "message": job.error.message}


def sighted(sighting: Sighting, addresses: Addresses) -> Told:
    """Somebody else's prompt as it stands."""
    found = sighting.found
    entry = found.entry
    word = _VERDICTS[entry.verdict] if entry else _PLACES.get(found.place, "failed")
    failed = entry.error() if entry and entry.verdict is Verdict.ERROR else None
    files = foreign_files(entry, sighting.instance, addresses) if entry else []
    return {
        "prompt_id": sighting.prompt_id,
        "status": word,
        "progress": {"queued": 0.0, "completed": 100.0}.get(word),
        "position": found.ahead if found.place is Place.PENDING else None,
        "node": None,
        "step": None,
        "steps": None,
        "instance": sighting.instance,
        "created_at": None,
        "started_at": None,
        "finished_at": None,
        "images": [each for each in files if each["kind"] == "image"],
        "error": {"code": failed.code, "message": failed.message} if failed else None,
    }
