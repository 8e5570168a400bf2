"""Names for delivered files: the key template and its check, safe path components, no two alike within a job."""

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import PurePosixPath
from string import Formatter

from ..errors import Detail, InvalidSettings
from ..ids import JobId
from ..jobs.ports import OutputFile

_FIELDS = ("job_id", "node_id", "index", "subfolder", "filename", "stem", "ext", "date", "sha256")
# Without one of these, two jobs would write the same key and the older picture would be gone.
_UNIQUE_FIELDS = {"job_id", "sha256"}
# Bytes: file systems stop at 255 per component and S3 at 1024 per key; room is left for the mark of a twin.
_MAX_COMPONENT = 200
_MAX_KEY = 900
_MAX_MARK = 40
_MAX_JOBS = 1024
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]")


def utc_today() -> date:
    """Today, as every machine of a fleet agrees on it."""
    return datetime.now(UTC).date()


def safe_component(text: str) -> str:
    """`text` as one path component: no separators, no control characters, never `.` or `..`, never too long."""
    clean = _UNSAFE.sub("_", text).encode("utf-8", "replace").decode("utf-8").strip()
    if clean.strip(".") == "":
        clean = "_" * max(len(clean), 1)
    return _shortened(clean, _MAX_COMPONENT)


def job_component(job_id: JobId) -> str:
    """The job's own folder. An id that had to be changed gets a hash, so that no two ids share a folder."""
    clean = safe_component(job_id)
    if clean == job_id:
        return clean
    return f"{clean}-{hashlib.sha256(job_id.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _shortened(name: str, limit: int) -> str:
    if len(name.encode()) <= limit:
        return name
    suffix = PurePosixPath(name).suffix
    suffix = suffix if len(suffix) <= 16 else ""
    stem = name[: len(name) - len(suffix)].encode()[: limit - len(suffix.encode())]
    return stem.decode("utf-8", "ignore") + suffix


def marked(name: str, mark: str) -> str:
    """`name` with `mark` between stem and extension."""
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}-{mark}{path.suffix}"))


class KeyTemplate:
    """A checked template for object keys, such as `{date}/{job_id}/{filename}`."""

    def __init__(
        self, template: str = "{job_id}/{filename}", prefix: str = "", today: Callable[[], date] = utc_today
    ) -> None:
        self._template = template.strip()
        self._prefix = _checked_prefix(prefix)
        self._today = today
        _check_template(self._template)

    def key(self, job_id: JobId, file: OutputFile) -> str:
        """The key for one file. Nothing in the file's names leads out of the prefix."""
        name = PurePosixPath(safe_component(file.filename))
        filled = self._template.format(
            job_id=job_component(job_id),
            node_id=safe_component(file.node_id),
            index=file.index,
            subfolder="/".join(safe_component(part) for part in re.split(r"[/\\]", file.subfolder) if part),
            filename=name.name,
            stem=name.stem,
            ext=name.suffix.removeprefix("."),
            date=self._today().isoformat(),
            sha256=safe_component(file.sha256),
        )
        parts = [safe_component(part) for part in filled.split("/") if part]
        return _shortened("/".join([*self._prefix, *parts]), _MAX_KEY)


def _checked_prefix(prefix: str) -> list[str]:
    parts = [part for part in prefix.strip().split("/") if part]
    if any(part in (".", "..") or safe_component(part) != part for part in parts) or len(prefix) > _MAX_KEY // 4:
        raise _bad(
            "BUCKET_KEY_PREFIX",
            f"The key prefix {prefix!r} cannot be used: 225 plain letters at most, no '.' and '..'.",
        )
    return parts


def _check_template(template: str) -> None:
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise _bad("BUCKET_KEY_TEMPLATE", f"The key template {template!r} cannot be read: {error}.") from None
    names = [name for _, name, _, _ in pieces if name is not None]
    unknown = [name for name in names if name not in _FIELDS]
    plain = not any(spec or conversion for _, _, spec, conversion in pieces)
    if unknown or not plain:
        raise _bad(
            "BUCKET_KEY_TEMPLATE", f"The key template {template!r} may hold {{{'}, {'.join(_FIELDS)}}}, all unadorned."
        )
    if not _UNIQUE_FIELDS & set(names):
        raise _bad("BUCKET_KEY_TEMPLATE", f"The key template {template!r} needs {{job_id}} or {{sha256}}.")
    if template.endswith("/") or any(part in (".", "..") for part in template.split("/")):
        raise _bad("BUCKET_KEY_TEMPLATE", f"The key template {template!r} must name a file, without '.' and '..'.")


def _bad(field: str, message: str) -> InvalidSettings:
    return InvalidSettings(message, [Detail(field=field, message=message, code="invalid_setting")])


class TakenNames:
    """Gives each output of a job a name of its own; the same output asked again gets the same name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: OrderedDict[JobId, dict[str, object]] = OrderedDict()

    def claim(self, job_id: JobId, name: str, file: OutputFile) -> str:
        """`name`, or a marked one when another output of the job has it."""
        owner = (file.node_id, file.key, file.index, file.subfolder, file.filename)
        with self._lock:
            taken = self._jobs.setdefault(job_id, {})
            self._jobs.move_to_end(job_id)
            while len(self._jobs) > _MAX_JOBS:
                self._jobs.popitem(last=False)
            unique, count = name, 1
            while taken.setdefault(unique, owner) != owner:
                twin = _shortened(safe_component(f"{file.node_id}-{file.index}"), _MAX_MARK)
                unique = marked(name, twin if count == 1 else f"{twin}-{count}")
                count += 1
            return unique
