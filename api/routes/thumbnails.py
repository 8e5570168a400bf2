"""Small pictures as answers: each made once, the last of them kept."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated

from fastapi import Query
from fastapi.responses import Response

from ..errors import Detail, InvalidInput
from ..outputs.thumbnail import MIME_TYPE
from .sent_files import has_it, headers_of

_KEPT = 500
_KEPT_BYTES = 32_000_000

Side = Annotated[
    int | None,
    Query(
        alias="thumbnail",
        ge=16,
        le=1024,
        description="A small WebP of a picture instead, its longest side so many pixels",
        examples=[256],
    ),
]


class Thumbnails:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], bytes | None] = OrderedDict()
        self._kept_bytes = 0

    def answer(
        self,
        filename: str,
        tag: str,
        side: int,
        if_none_match: str | None,
        make: Callable[[], bytes | None],
        *,
        whole: bool,
        lasting: bool = True,
    ) -> Response:
        """The answer to a GET, or to a HEAD when not `whole`, about the picture with the content `tag`.

        `make` is asked for one that is not kept; None from it is no picture. Raises InvalidInput for those.
        """
        own_tag = f"{tag}-{side}"
        headers = headers_of(f"{filename}.webp", MIME_TYPE, own_tag, lasting=lasting)
        if has_it(if_none_match, own_tag):
            return Response(status_code=304, headers=headers)
        picture = self._picture(tag, side, make)
        if picture is None:
            message = "There is no thumbnail of it: it is no picture, or too large a one."
            raise InvalidInput(message, [Detail(field="query.thumbnail", code="no_picture", message=message)])
        return Response(picture if whole else None, headers={**headers, "Content-Length": str(len(picture))})

    def _picture(self, tag: str, side: int, make: Callable[[], bytes | None]) -> bytes | None:
        with self._lock:
            if (tag, side) in self._kept:
                self._kept.move_to_end((tag, side))
                return self._kept[tag, side]
        picture = make()
        with self._lock:
            if (tag, side) not in self._kept:
                self._kept[tag, side] = picture
                self._kept_bytes += len(picture or b"")
            while len(self._kept) > _KEPT or self._kept_bytes > _KEPT_BYTES:
                _, oldest = self._kept.popitem(last=False)
                self._kept_bytes -= len(oldest or b"")
        return picture
