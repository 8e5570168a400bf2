"""What prompts have made, in the words of /api/comfy: outputs of jobs, and files that other people's prompts name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from ..comfyui.history import HistoryEntry, HistoryFile
from ..errors import JobNotFound
from ..ids import InstanceName, JobId
from ..jobs.job import Job
from ..jobs.results import LISTS, OutputRef
from ..jobs.service import JobService
from ..outputs.facts import media_type_of
from .answers import marked_result
from .comfy_words import PREFIX
from .links import Link, OutputLinks

_KINDS = {"images": "image", "videos": "video", "audio": "audio", "files": "file"}
_MEDIA = {"image", "video", "audio"}

Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the caller of one request finds files: those of jobs by `link`, others below `base`."""

    link: Link
    base: str

    @classmethod
    def of(cls, links: OutputLinks, request: Request) -> "Addresses":
        """As that request's caller sees the worker."""
        return cls(links.of(request), (links.public_url or str(request.base_url)).rstrip("/"))


@dataclass(frozen=True, slots=True)
class Output:
    """One file of a job, `kept` by the worker or at `url`. `told` has everything but the address."""

    told: Told
    kept: OutputRef | None
    url: str | None


class JobOutputs:
    """What a job has made. Empty before its end. Reads files, so in a thread."""

    def __init__(self, service: JobService, job: Job) -> None:
        self._job = job
        self._result, self._kept = marked_result(service, job) if job.is_terminal else ({}, {})

    def files(self) -> list[Output]:
        """Its files in the order of the result. The subfolder tells them from other jobs'."""
        return list(self._files())

    def images(self, addresses: Addresses) -> list[Told]:
        """Its pictures."""
        return [each for each in self._addressed(addresses) if each["kind"] == "image"]

    def items(self, addresses: Addresses) -> list[Told]:
        """All it has made."""
        texts = self._result.get("text") or ()
        return [
            *self._addressed(addresses),
            *({"kind": "text", "node_id": text.get("node_id"), "text": text.get("data", "")} for text in texts),
        ]

    def warnings(self) -> list[Told]:
        """What was not right although the job succeeded."""
        if "error" in self._result:
            return []
        texts = self._result.get("errors") or ()
        codes = [each.get("code") for each in self._result.get("details") or ()]
        return [{"code": code or "WARNING", "message": text} for text, code in zip(texts, codes, strict=False)]

    def _addressed(self, addresses: Addresses) -> Iterator[Told]:
        for output in self._files():
            yield {**output.told, "url": addresses.link(output.kept) if output.kept else output.url}

    def _files(self) -> Iterator[Output]:
        taken: set[tuple[str, str]] = set()
        for name in LISTS:
            for entry in self._result.get(name) or ():
                told = _file_object(self._job, _KINDS[name], entry)
                if (told["subfolder"], told["filename"]) in taken:
                    told["subfolder"] += f"/{len(taken)}"
                taken.add((told["subfolder"], told["filename"]))
                data = str(entry.get("data", ""))
                url = data if data.startswith(("http://", "https://")) else None
                yield Output(told, self._kept.get(data), url)


def _file_object(job: Job, kind: str, entry: Mapping[str, Any]) -> Told:
    subfolder = str(entry.get("subfolder") or "")
    return {
        "kind": kind,
        "node_id": entry.get("node_id"),
        "filename": str(entry["filename"]).rpartition("/")[2],
        "subfolder": f"{job.id}/{subfolder}" if subfolder else str(job.id),
        "type": "output",
        "mime_type": str(entry.get("mime_type") or "application/octet-stream"),
        "size_bytes": entry.get("size_bytes"),
        "width": entry.get("width"),
        "height": entry.get("height"),
    }


def find(service: JobService, filename: str, subfolder: str) -> Output | None:
    """The job's output of that name in that folder; None when it is none of a job."""
    job_id = subfolder.partition("/")[0]
    try:
        outputs = JobOutputs(service, service.get(JobId(job_id))).files() if job_id else []
    except JobNotFound:
        return None
    wanted = (filename, subfolder)
    return next((each for each in outputs if (each.told["filename"], each.told["subfolder"]) == wanted), None)


def foreign_files(entry: HistoryEntry, instance: InstanceName, addresses: Addresses) -> list[Told]:
    """The files a prompt of somebody else names, as far as they can be asked for."""
    return [
        _foreign_object(file, file.plain, instance, addresses)
        for file in entry.files()
        if file.plain and file.kind != "input"
    ]


def foreign_items(entry: HistoryEntry, instance: InstanceName, addresses: Addresses) -> list[Told]:
    """All a prompt of somebody else has made."""
    texts = [{"kind": "text", "node_id": text.node_id, "text": text.text} for text in entry.texts()]
    return [*foreign_files(entry, instance, addresses), *texts]


def _foreign_object(file: HistoryFile, plain: tuple[str, str], instance: InstanceName, addresses: Addresses) -> Told:
    filename, subfolder = plain
    mime_type = media_type_of(b"", filename)
    kind = mime_type.partition("/")[0]
    where = {"filename": filename, "subfolder": subfolder, "type": file.kind}
    return {
        "kind": kind if kind in _MEDIA else "file",
        "node_id": file.node_id,
        **where,
        "mime_type": mime_type,
        "size_bytes": None,
        "width": None,
        "height": None,
        "url": f"{addresses.base}{PREFIX}/view?{urlencode({**where, 'instance': instance})}",
    }
