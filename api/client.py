"""Python client of the worker's HTTP API; `python -m api.client` is its command line.

Imports nothing of the worker and needs only `requests`. To use it elsewhere copy all of `api/client*.py` into one
folder of the other project, which then is a package: `from thatfolder.client import Client`.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import client_events, client_inputs, client_outputs
from .client_http import ClientError, DownloadFailed, Http, HttpClient, Refused, StillRunning, Unreachable, compact
from .client_inputs import JobUnusable, Source
from .client_jobs import Event, Job
from .client_uploads import upload

__all__ = [
    "Client",
    "ClientError",
    "DownloadFailed",
    "Event",
    "Job",
    "JobUnusable",
    "Refused",
    "StillRunning",
    "Unreachable",
]

# Files above it are uploaded ahead instead of being put into the body of the submit.
_INLINE_BYTES = 4_000_000
_JSON = {"Content-Type": "application/json"}


class Client(HttpClient):
    """One worker. `timeout_s` is how long an answer may take, `retries` how often a request is repeated.

    Methods raise Refused when the worker says no, Unreachable when it does not answer; both are ClientErrors.
    """

    def __init__(
        self,
        base_url: str = "http://localhost:8000",
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(Http(base_url, api_key, timeout_s=timeout_s, retries=retries, sleep=sleep))
        self._sleep = sleep

    def submit(
        self,
        workflow: Mapping[str, Any],
        images: Mapping[str, Source] | None = None,
        overrides: Mapping[str, Any] | None = None,
        *,
        priority: str | None = None,
        gpu: str | None = None,
        webhook: str | None = None,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Job:
        """Queue a workflow in API format and return at once. `options` are further fields of the job's input.

        `images`: name in the workflow → path, bytes, or address. `overrides`: {"6.text": "a cat"}. `gpu`: where it is
        to run, "local", a remote target or the label of a ComfyUI. The key makes a repeated submit the same job;
        without one each call is a new job, however often its request is repeated.
        """
        entries = client_inputs.image_entries(images or {}, self.upload, _INLINE_BYTES)
        fields = {"priority": priority, "gpu": gpu, "webhook": webhook, **options}
        return self._run(client_inputs.body(workflow, entries, overrides, fields), idempotency_key)

    def submit_job(
        self,
        job: Any,
        images: Mapping[str, Source] | None = None,
        overrides: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Job:
        """Queue what a job file holds: a workflow, a body of /run, or RunPod's `{"input": {…}, …}`.

        What is given here goes before what the job says. Raises JobUnusable, a ValueError.
        """
        entries = client_inputs.image_entries(images or {}, self.upload, _INLINE_BYTES)
        given, beside = client_inputs.completed(job, entries, overrides, options)
        return self._run(client_inputs.own_or_runpods(given, beside), idempotency_key)

    def _run(self, content: Mapping[str, Any], idempotency_key: str | None) -> Job:
        headers = {**_JSON, "Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return Job.read(self._http.json("POST", "run", data=compact(content), headers=headers))

    def status(self, job_id: str, *, outputs: str | None = "url") -> Job:
        """The job as it is now. `outputs`: "url" for links in the result, "base64" for the files themselves."""
        return Job.read(self._http.json("GET", f"status/{job_id}", params={"outputs": outputs} if outputs else None))

    def why(self, job_id: str) -> str | None:
        """In one sentence, what a waiting job waits for; None where that cannot be told. Any thread may ask."""
        with contextlib.closing(self._http.apart(timeout_s=5.0)) as http:
            try:
                said = http.json("GET", f"why/{job_id}")
            except ClientError:
                return None
        waits = isinstance(said, dict) and said.get("status") == "pending"
        return str(said.get("why") or "") or None if waits else None

    def watch(self, job_id: str, timeout_s: float | None = None, *, previews: bool = False) -> Iterator[Event]:
        """What happens to the job, as it happens, until it has ended; the last event is `finished`.

        Outlasts restarts of the worker. `previews`: also pictures of the unfinished work, where ComfyUI makes some.
        Raises StillRunning about `timeout_s` after the call.
        """
        path = f"events/{job_id}" + ("?previews=true" if previews else "")
        follower = client_events.Follower(
            self._http, path, lambda: self.status(job_id), timeout_s=timeout_s, sleep=self._sleep
        )
        return follower.events()

    def wait(self, job_id: str, timeout_s: float | None = None, on_event: Callable[[Event], None] | None = None) -> Job:
        """The job once it has ended, well or not. Raises StillRunning about `timeout_s` after the call."""
        for event in self.watch(job_id, timeout_s):
            if on_event:
                on_event(event)
        return self.status(job_id)

    def download(self, job: Job | str, folder: Path | str = ".") -> Iterator[Path]:
        """Fetch the outputs of an ended job into a folder, resuming what breaks off; yields each path when it is done.

        Raises DownloadFailed for a job without a result or an output that is not what was announced.
        """
        job = self.status(job) if isinstance(job, str) else job
        if not job.succeeded:
            raise DownloadFailed(f"Job {job.job_id} is {job.status}: there is nothing to download.")
        return client_outputs.save(self._http, job, Path(folder))

    def cancel(self, job_id: str) -> Job:
        """Stop the job, waiting or running. One that has ended stays as it is."""
        return Job.read(self._http.json("POST", f"jobs/{job_id}/cancel"))

    def list(self, *, limit: int = 100, **filters: Any) -> Iterator[Job]:
        """Jobs, newest first, all pages. `filters` are query parameters such as status="failed"."""
        cursor, left = None, limit
        while left > 0:
            params = {**filters, "limit": min(left, 100), **({"cursor": cursor} if cursor else {})}
            page = self._http.json("GET", "jobs", params=params)
            jobs = page.get("jobs") or []
            yield from (Job.read(raw) for raw in jobs[:left])
            cursor, left = page.get("next"), left - len(jobs)
            if not cursor or not jobs:
                return

    def stats(self, *, include_recent: bool = False) -> dict[str, Any]:
        """Counts of jobs by status."""
        return dict(self._http.json("GET", "stats", params={"include_recent": str(include_recent).lower()}))

    def health(self) -> dict[str, Any]:
        """How the worker is doing."""
        return dict(self._http.json("GET", "health"))

    def upload(self, source: Source) -> str:
        """Send a large input ahead, in pieces that can be sent again one by one; its reference for `images`."""
        return upload(self._http, source)

    def validate(
        self,
        workflow: Mapping[str, Any],
        images: Mapping[str, Source] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Whether the workflow would run: {"ok", "format", "errors", "warnings", "instances", "outputs", …}.

        Of `images` only the names are sent.
        """
        return self.validate_job({"workflow": workflow}, images, overrides)

    def validate_job(
        self,
        job: Any,
        images: Mapping[str, Source] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The same of what a job file holds, as `submit_job` takes it. Raises JobUnusable."""
        named = client_inputs.image_entries(dict.fromkeys(images or {}, b"\0"), None, 1)
        given, beside = client_inputs.completed(job, named, overrides, {})
        content = client_inputs.own_or_runpods(client_inputs.without_contents(given), beside)
        return dict(self._http.json("POST", "validate", data=compact(content), headers=_JSON))


if __name__ == "__main__":
    from .client_cli import main

    raise SystemExit(main())
