"""Outputs of a job put into files: fetched and resumed, decoded, or written as text."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests

from .client_http import DownloadFailed, Http, Refused, Unreachable, refusal
from .client_jobs import Job

_CHUNK_BYTES = 1 << 16
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|]+")


def save(http: Http, job: Job, folder: Path) -> Iterator[Path]:
    """Write every output into `folder`, made if need be; the paths in the order of the result, as they are done.

    Names that are taken, by files of other jobs too, get a number; what is there already with the same content is
    written again. Raises DownloadFailed, Refused, Unreachable, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for entry in job.outputs():
        path = folder / _free_name(str(entry.get("filename") or "output"), taken, folder, entry.get("sha256"))
        _put(http, entry, path)
        yield path


def _put(http: Http, entry: Mapping[str, Any], path: Path) -> None:
    kind, data = str(entry.get("type") or ""), str(entry["data"])
    if kind == "text":
        path.write_text(data, encoding="utf-8")
    elif kind == "base64":
        try:
            path.write_bytes(base64.b64decode(data.partition(",")[2] if data.startswith("data:") else data))
        except binascii.Error:
            raise DownloadFailed(f"{path.name} did not come as base64.") from None
    elif kind == "file":
        raise DownloadFailed(f"{path.name} was left on the worker's own disk: {data}")
    else:
        fetch(http, data, path, sha256=entry.get("sha256"), size_bytes=entry.get("size_bytes"))


def fetch(http: Http, url: str, path: Path, *, sha256: str | None = None, size_bytes: int | None = None) -> None:
    """Stream an address into a file. What breaks off goes on from where it was; the file appears when it is whole."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    transfer = _Transfer(http, url, part)
    for attempt in range(http.retries + 1):
        if transfer.go_on():
            break
        http.pause(attempt)
    else:
        raise Unreachable(f"{path.name} broke off again and again; {part.name} holds what came of it.")
    _verify(part, path.name, sha256, size_bytes)
    part.replace(path)


class _Transfer:
    """One download over as many requests as it takes."""

    def __init__(self, http: Http, url: str, part: Path) -> None:
        self._http = http
        self._url = url
        self._part = part
        self._tag: str | None = None

    def go_on(self) -> bool:
        """Fetch what is missing; whether all is there now."""
        have = self._part.stat().st_size if self._tag and self._part.exists() else 0
        # Without an ETag there is no saying that the rest belongs to what is here.
        headers = {"Accept-Encoding": "identity"}
        if have and self._tag:
            headers |= {"Range": f"bytes={have}-", "If-Range": self._tag}
        try:
            with self._http.request("GET", self._url, headers=headers, stream=True) as response:
                return self._write(response, have)
        except Refused as error:
            if error.status == requests.codes.requested_range_not_satisfiable and have:
                self._tag = None  # the part is longer than what is there now: from the start
                return False
            raise
        except requests.RequestException:
            return False

    def _write(self, response: requests.Response, have: int) -> bool:
        if response.status_code >= 400:
            raise refusal(response)
        resumed = response.status_code == requests.codes.partial_content
        tag = response.headers.get("ETag")
        self._tag = tag if tag and not tag.startswith("W/") else None
        expected = response.headers.get("Content-Length")
        written = 0
        with self._part.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
                written += len(chunk)
        # requests takes a body that ends short of its Content-Length for a whole one.
        return expected is None or written == int(expected)


def _verify(part: Path, name: str, sha256: str | None, size_bytes: int | None) -> None:
    size = part.stat().st_size
    if isinstance(size_bytes, int) and size != size_bytes:
        raise DownloadFailed(f"{name} has {size} bytes, not the {size_bytes} announced.")
    if isinstance(sha256, str) and sha256:
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise DownloadFailed(f"{name} is not what was announced: its sha256 differs.")


def _free_name(filename: str, taken: set[str], folder: Path, sha256: Any) -> str:
    """A name without folders that is not taken yet; it is the server's word, so it may not lead anywhere."""
    name = _UNSAFE.sub("_", filename.replace("\\", "/").rpartition("/")[2]).strip(". ") or "output"
    name, count = name[-200:], 1
    stem, suffix = Path(name).stem, Path(name).suffix
    while name.casefold() in taken or _is_another(folder / name, sha256):
        count += 1
        name = f"{stem}-{count}{suffix}"
    taken.add(name.casefold())
    return name


def _is_another(path: Path, sha256: Any) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() != str(sha256)
