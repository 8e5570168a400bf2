"""The texts of a run: short ones for the result, long ones as files, and bounds for both."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import Detail
from ..jobs.files import translated_disk_errors
from ..jobs.ports import OutputFile, OutputText

_SLICE_CHARS = 1 << 20


@dataclass(frozen=True, slots=True)
class TextLimits:
    """In characters. A text over `inline`, and all after `inline_total`, go the way of files: they would crowd out
    the pictures. A file ends at `file`; what `files_total`, `inline_count` or `file_count` leave no room for is lost.
    """

    inline: int = 20_000
    inline_total: int = 500_000
    inline_count: int = 1000
    file: int = 32_000_000
    files_total: int = 64_000_000
    file_count: int = 100


_LIMITS = TextLimits()


class Texts:
    """Sorts the texts of one run; none is copied whole. Raises DiskFull."""

    def __init__(self, texts: Iterable[OutputText], workdir: Path, limits: TextLimits = _LIMITS) -> None:
        self._workdir = workdir
        self._limits = limits
        self.inline: list[OutputText] = []
        self.files: list[OutputFile] = []
        self.warnings: list[Detail] = []
        inline_left, files_left, lost = limits.inline_total, limits.files_total, 0
        for text in texts:
            chars = len(text.text)
            if chars <= min(limits.inline, inline_left) and len(self.inline) < limits.inline_count:
                self.inline.append(text)
                inline_left -= chars
            elif files_left and len(self.files) < limits.file_count:
                kept = min(chars, limits.file, files_left)
                self.files.append(self._written(text, kept))
                files_left -= kept
            else:
                lost += 1
        if lost:
            message = f"The workflow makes so many texts that {lost:,} of them were left out of the result."
            self.warnings.append(Detail(code="texts_left_out", message=message))

    def _written(self, text: OutputText, chars: int) -> OutputFile:
        if chars < len(text.text):
            message = f"The text of node {text.node_id} has {len(text.text):,} characters; its file ends at {chars:,}."
            self.warnings.append(Detail(node_id=text.node_id, code="text_cut", message=message))
        path = self._workdir / f"text-{len(self.files)}"
        digest, size_bytes = hashlib.sha256(), 0
        with translated_disk_errors(path), path.open("wb") as out:
            for piece in _encoded(text.text, chars):
                digest.update(piece)
                size_bytes += out.write(piece)
        return OutputFile(
            node_id=text.node_id,
            key=text.key,
            index=text.index,
            filename=f"{text.node_id}_{text.key}_{text.index}.txt".replace(":", "_"),
            subfolder="",
            kind="output",
            reused=text.reused,
            path=path,
            mime_type="text/plain",
            size_bytes=size_bytes,
            sha256=digest.hexdigest(),
        )


def _encoded(text: str, chars: int) -> Iterator[bytes]:
    for at in range(0, chars, _SLICE_CHARS):
        yield text[at : min(at + _SLICE_CHARS, chars)].encode("utf-8", "replace")
