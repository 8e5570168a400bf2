"""Names that callers give to files and jobs, checked and made into names for a disk."""

import hashlib
import re
import unicodedata

from ..ids import JobId

_MAX_SEGMENT_BYTES = 200
_MAX_NAME_BYTES = 1000
_UNSEEN = {"Cc", "Cs", "Zl", "Zp"}
_DRIVE = re.compile(r"[A-Za-z]:")
# ComfyUI takes these endings off a file name and looks in another folder.
_ANNOTATION = re.compile(r"\[(?:input|output|temp)\]\s*$")
_SAFE_FOLDER = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_MAX_FOLDER = 64


def fault_of_name(name: str) -> str | None:
    """Why the name cannot be that of an input file; None when it can. It may carry subfolders ("faces/a.png")."""
    if any(unicodedata.category(char) in _UNSEEN for char in name):
        return "holds a control character or broken text"
    if "\\" in name:
        return "holds a backslash; write subfolders with /"
    if name.startswith("/") or _DRIVE.match(name):
        return "is an absolute path; give a name, with a subfolder at most (faces/a.png)"
    if _ANNOTATION.search(name):
        return "ends with a folder in brackets, which ComfyUI reads as something else; leave it off"
    if len(name.encode()) > _MAX_NAME_BYTES:
        return f"is longer than {_MAX_NAME_BYTES} bytes"
    return _fault_of_segments(name.split("/"))


def _fault_of_segments(segments: list[str]) -> str | None:
    if any(segment in {".", ".."} for segment in segments):
        return "must not hold . or .. as a folder"
    if not all(segment.strip() for segment in segments):
        return "has an empty part; give a file name, as the workflow uses it"
    if any(len(segment.encode()) > _MAX_SEGMENT_BYTES for segment in segments):
        return f"has a part longer than {_MAX_SEGMENT_BYTES} bytes"
    return None


def folder_of(job_id: JobId) -> str:
    """A folder name of the job's own: the id where it is harmless, else what is harmless of it and a hash.

    The tilde keeps the two kinds apart, and lower case those that differ only by case on some file systems.
    """
    if len(job_id) <= _MAX_FOLDER and _SAFE_FOLDER.fullmatch(job_id):
        return job_id
    digest = hashlib.sha256(job_id.encode("utf-8", "surrogatepass")).hexdigest()[:20]
    kept = "-".join(re.findall(r"[a-z0-9]+", job_id.lower()))[:40].rstrip("-")
    return f"{kept or 'job'}~{digest}"
