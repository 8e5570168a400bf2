"""Between a request as it arrives and as it waits: inline files become files of the spool, secrets are sealed."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, BinaryIO

from pydantic import BaseModel

from ..errors import Detail, InvalidInputFile
from ..ids import JobId
from ..sealing import Sealer
from .files import link_or_copy, translated_disk_errors
from .misspelled import names_of
from .request import ImageSpec, JobRequest
from .request_fields import EnvelopeFields, ImageFields, InputFields, PolicyFields
from .spool import Spool

UPLOAD = "upload:"
_HELD = "held:"
# Where callers put keys of their own: in the input, and beside it.
_SECRET_INPUTS = ("comfy_org_api_key", "api_key_comfy_org", "s3", "report")
_SECRET_ENVELOPE = ("s3Config",)

KeepInline = Callable[[ImageSpec, Path], bool]
FindUpload = Callable[[str], Path | None]
CheckFile = Callable[[ImageSpec, Path], None]
Files = Mapping[str, BinaryIO]
_NO_FILES: Files = MappingProxyType({})


def _taken_as_it_is(_spec: ImageSpec, _path: Path) -> None:
    return None


class Intake:
    """`keep_inline` writes a source that holds its content to a file and says False of others (URLs).

    `check_file` raises an InvalidInput for a file that the job's source must not be.
    """

    def __init__(
        self,
        spool: Spool,
        sealer: Sealer,
        keep_inline: KeepInline,
        find_upload: FindUpload,
        check_file: CheckFile = _taken_as_it_is,
    ) -> None:
        self._spool = spool
        self._sealer = sealer
        self._keep_inline = keep_inline
        self._find_upload = find_upload
        self._check_file = check_file

    def take(self, job_id: JobId, job: Mapping[str, Any], request: JobRequest, files: Files = _NO_FILES) -> None:
        """Keep the job's request and its files; `files` by source. Raises InvalidInput for bad files, DiskFull."""
        given = _known(_input_of(job), InputFields)
        images = [_known(image, ImageFields) for image in given.get("images") or ()]
        held: dict[ImageSpec, Path] = {}
        for index, (image, spec) in enumerate(zip(images, request.images, strict=True)):
            if self._keep(spec, self._spool.held_file(job_id, index), files, held):
                image["image"] = f"{_HELD}{index}"
        if images:
            given["images"] = images
        beside = _known({name: value for name, value in job.items() if name != "input"}, EnvelopeFields)
        kept = {**beside, "id": job_id, "input": self._sealed(given, _SECRET_INPUTS)}
        if isinstance(job.get("policy"), Mapping):
            kept["policy"] = _known(job["policy"], PolicyFields)
        self._spool.keep_request(job_id, self._sealed(kept, _SECRET_ENVELOPE))

    def reopen(self, job_id: JobId) -> tuple[dict[str, Any], dict[str, Path]] | None:
        """The job as the handler takes it, and the files behind its sources; None when the request is gone.

        Raises SecretsUnreadable.
        """
        kept = self._spool.request(job_id)
        if kept is None:
            return None
        job = self._opened(kept, _SECRET_ENVELOPE)
        job["input"] = self._opened(kept["input"], _SECRET_INPUTS)
        return job, {f"{_HELD}{path.name}": path for path in self._spool.held_files(job_id)}

    def shown(self, job_id: JobId) -> dict[str, Any] | None:
        """The job's input as it may be shown: secrets left out, null in place of files' contents and of keyed URLs."""
        kept = self._spool.request(job_id)
        if kept is None:
            return None
        open_names = set(names_of(InputFields)) - set(_SECRET_INPUTS)
        shown = {name: value for name, value in kept["input"].items() if name in open_names}
        if shown.get("images"):
            shown["images"] = [{**image, "image": _shown_source(str(image["image"]))} for image in shown["images"]]
        return shown

    def _keep(self, spec: ImageSpec, place: Path, files: Files, held: dict[ImageSpec, Path]) -> bool:
        alike = replace(spec, name=PurePosixPath(spec.name).suffix.lower(), field="")
        if alike in held:
            # Read and checked once: a large picture takes seconds to decode, and no more than its name to send again.
            link_or_copy(held[alike], place)
        elif self._is_written(spec, place, files):
            held[alike] = place
        else:
            return False
        return True

    def _is_written(self, spec: ImageSpec, place: Path, files: Files) -> bool:
        if spec.source in files:
            with translated_disk_errors(place), place.open("wb") as kept:
                files[spec.source].seek(0)
                shutil.copyfileobj(files[spec.source], kept)
            self._check_file(spec, place)
            return True
        if not spec.source.startswith(UPLOAD):
            return self._keep_inline(spec, place)
        upload = self._find_upload(spec.source.removeprefix(UPLOAD))
        if upload is None:
            message = f"{spec.field}.image names an upload this worker does not have; upload the file again."
            raise InvalidInputFile(
                message, [Detail(field=f"{spec.field}.image", code="unknown_upload", message=message)]
            )
        self._check_file(spec, upload)
        link_or_copy(upload, place)
        return True

    def _sealed(self, value: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        secrets = {name: self._sealer.seal(value[name]) for name in names if value.get(name)}
        return {**value, **secrets}

    def _opened(self, value: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        return {**value, **{name: self._sealer.open(value[name]) for name in names if name in value}}


def _known(value: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Of what is no field of it only the names: nobody reads the rest, and it may be a secret (`extra_data`)."""
    names = frozenset(names_of(model))
    return {name: each if name in names else None for name, each in value.items()}


def _shown_source(source: str) -> str | None:
    """A source that gives nothing away: a presigned URL opens what it names."""
    is_plain = source.startswith(("http://", "https://", "s3://")) and not set("?@#") & set(source)
    return source if is_plain else None


def _input_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """The input as an object of its own; checked before, so it is one, or the JSON of one."""
    given = job["input"]
    return dict(json.loads(given) if isinstance(given, str) else given)
