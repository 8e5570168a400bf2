"""Files that name other files or URLs, told by content: ffmpeg, behind most loaders of video and audio, opens those."""

import re
from pathlib import Path

# As much as ffmpeg looks at, and as it does: as text that ends at the first NUL.
_PROBED_BYTES = 1 << 20
_FRONT_BYTES = 4096
_STARTS = (
    (b"#extm3u", "a playlist (HLS)"),
    (b"ffconcat", "a list of files (ffconcat)"),
    (b"[playlist]", "a playlist (PLS)"),
    (b"# vobsub index file", "an index (VobSub)"),
    (b"%!ps", "a PostScript program"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript program"),
)
# Each probe of ffmpeg looks for these anywhere in the text.
_ANYWHERE = (
    (re.compile(rb"<mpd\b", re.IGNORECASE), "a manifest (DASH)"),
    (re.compile(rb"<(?:\w+:)?compositionplaylist\b", re.IGNORECASE), "a manifest (IMF)"),
    (re.compile(rb"<smoothstreamingmedia\b", re.IGNORECASE), "a manifest (Smooth Streaming)"),
    (re.compile(rb"<(?:asx|smil)\b", re.IGNORECASE), "a playlist"),
    (re.compile(rb"^c=IN IP[46]", re.MULTILINE), "a session description (SDP)"),
)
_SPACE = b"\xef\xbb\xbf \t\r\n\v\f"


def what_opens_others(path: Path) -> str | None:
    """What kind of file it is, when it is one that has others opened. Raises OSError."""
    with path.open("rb") as source:
        head = source.read(_PROBED_BYTES)
    text = head[_after_tags(head) :].partition(b"\0")[0]
    front = text[:_FRONT_BYTES].lstrip(_SPACE).lower()
    found = next((kind for start, kind in _STARTS if front.startswith(start)), None)
    return found or next((kind for pattern, kind in _ANYWHERE if pattern.search(text)), None)


def _after_tags(head: bytes) -> int:
    """Where the file begins for ffmpeg, which passes over ID3v2 tags in front of whatever it is."""
    at = 0
    while head.startswith(b"ID3", at) and len(head) >= at + 10:
        size = 0
        for byte in head[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        at += size + (20 if head[at + 5] & 0x10 else 10)
    return at
