"""A job's input files in ComfyUI's input folder, in the folder that is the job's own."""

from collections.abc import Mapping, Sequence

from ..comfyui.client import ComfyClient
from ..jobs.cancel import CancelToken
from ..jobs.ports import InputFile


class Uploads:
    """Equal content is sent once, under the first of its names."""

    def __init__(self, client: ComfyClient, files: Sequence[InputFile], folder: str, cancel: CancelToken) -> None:
        self._client = client
        self._files = files
        self._folder = folder
        self._cancel = cancel

    def store(self) -> Mapping[str, str]:
        """Upload the files: the caller's names → the stored ones. Raises what the client raises."""
        stored: dict[str, str] = {}
        for file in self._files:
            self._cancel.raise_if_set()
            if file.sha256 not in stored:
                subfolder, _, name = self._place(file).rpartition("/")
                uploaded = self._client.upload(
                    file.path, name, subfolder=subfolder, content_type=file.mime_type, overwrite=True
                )
                stored[file.sha256] = uploaded.reference
        return {file.name: stored[file.sha256] for file in self._files}

    def expected(self) -> Mapping[str, str]:
        """What `store` gives as a rule, without sending anything."""
        return {file.name: self._place(file) for file in self._files}

    def _place(self, file: InputFile) -> str:
        return f"{self._folder}/{file.name}"
