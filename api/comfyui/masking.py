"""Takes credentials and bulk data out of log text before it may leave the machine. Pure text in, text out."""

import re

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/=]+"), "<data URI>"),
    (re.compile(r"\b(https?|wss?|s3|postgres(?:ql)?)://[^\s/@\"']{1,200}@"), r"\1://***@"),
    (re.compile(r"((?:https?|wss?)://[^\s?\"'<>]+)\?[^\s\"'<>]+"), r"\1?***"),
    (re.compile(r"(?i)\b(authorization[\"']?\s*[:=]\s*[\"']?)[^\"',}\n]+"), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 ***"),
    (
        re.compile(
            r"(?i)((?:api[_-]?key|access[_-]?key(?:[_-]?id)?|secret|token|passw(?:or)?d|signature|credential)"
            r"(?:[_-]\w+)?[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&)}\]]{4,}"
        ),
        r"\1***",
    ),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), "***"),  # JSON web token
    (
        re.compile(r"\b(?:(?:hf_|ghp_|github_pat_|glpat-|sk-proj-|sk-ant-|rpa_|r8_|xox[abp]-)[\w-]{16,}|sk-\w{20,})"),
        "***",
    ),
    (re.compile(r"\bcomfyui-[0-9a-f]{32,}"), "***"),  # key of comfy.org
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "***"),
    (re.compile(r"[A-Za-z0-9+/]{100,}={0,2}"), "<base64>"),
)


def mask(text: str) -> str:
    """The text without tokens, keys, passwords, authorisation headers, URL queries and base64 data."""
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text


def readable_lines(text: str, longest: int = 400) -> list[str]:
    """Non-empty lines, masked and cut: no colours, and of a progress bar only its last state."""
    lines = []
    for raw in _ANSI.sub("", text).split("\n"):
        line = raw.rstrip().rsplit("\r", 1)[-1].rstrip()
        if line:
            masked = mask(line[: 4 * longest])
            lines.append(masked if len(masked) <= longest else masked[: longest - 1] + "…")
    return lines
