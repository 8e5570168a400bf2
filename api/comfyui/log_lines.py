"""ComfyUI's log as lines that can be shown."""

import re

from ..masking import mask

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def readable_lines(text: str, longest: int = 400) -> list[str]:
    """Non-empty lines, masked and cut: no colours, and of a progress bar only its last state."""
    lines = []
    for raw in _ANSI.sub("", text).split("\n"):
        line = raw.rstrip().rsplit("\r", 1)[-1].rstrip()
        if line:
            masked = mask(line[: 4 * longest])
            lines.append(masked if len(masked) <= longest else masked[: longest - 1] + "…")
    return lines
