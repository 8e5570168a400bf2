"""The base64 sink: the file inside the result itself, as worker-comfyui returns it."""

import binascii

from ..errors import OutputUnavailable
from ..ids import JobId
from ..jobs.ports import Delivered, OutputFile

# A multiple of three, so that the pieces' base64 joins without padding in between.
_CHUNK_BYTES = 3 * 256 * 1024


def encoded_bytes(size_bytes: int) -> int:
    """Length of the base64 of so many bytes."""
    return (size_bytes + 2) // 3 * 4


class InlineSink:
    """Encodes piece by piece: the file is never held, the text twice for the moment its pieces are joined."""

    def put(self, _job_id: JobId, file: OutputFile) -> Delivered:
        """The file as base64. Raises OutputUnavailable when it cannot be read."""
        text: list[str] = []
        try:
            with file.path.open("rb") as source:
                while chunk := source.read(_CHUNK_BYTES):
                    text.append(binascii.b2a_base64(chunk, newline=False).decode("ascii"))
        except OSError as error:
            raise OutputUnavailable(f"The output {file.filename} could not be read: {error.strerror}.") from error
        return Delivered("base64", "".join(text))
