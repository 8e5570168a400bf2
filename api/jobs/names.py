"""Names that callers give to files and jobs, checked and made into names for a disk."""

import hashlib
import hmac
import re
import unicodedata

from ..ids import JobId

_MAX_SEGMENT_BYTES = 200
_MAX_NAME_BYTES = 1000
_UNSEEN = {"Cc", "Cs", "Zl", "Zp"}
_DRIVE = re.compile(r"[A-Za-z]:")
# ComfyUI takes these endings off a file name and looks in another folder.
_ANNOTATION = re.compile(r"\[(?:input|output|temp)\]\s*$")
_JOB_FOLDER = re.compile(r"job-[0-9a-f]{32}")


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


def folder_of(job_id: JobId, key: bytes) -> str:
    """A folder name of the job's own on ComfyUI, which nobody without the worker's key can tell from the id.

    ComfyUI serves every file to every job that knows its path.
    """
    message = b"folder\0" + job_id.encode("utf-8", "surrogatepass")
    return f"job-{hmac.new(key, message, hashlib.sha256).hexdigest()[:32]}"


def is_job_folder(name: str) -> bool:
    """Whether a folder name is one that `folder_of` makes, with whatever key."""
    return bool(_JOB_FOLDER.fullmatch(name))


def own_subfolder(subfolder: str) -> str:
    """The caller's own part of an output's folder: the job's in front of it is ours.

    A prompt that another worker has submitted lies in a folder of that worker's key.
    """
    own = subfolder.replace("\\", "/").strip("/")
    first, _, rest = own.partition("/")
    return rest.strip("/") if is_job_folder(first) else own
