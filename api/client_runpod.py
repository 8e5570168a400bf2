"""The same client for an endpoint on RunPod, or for anything that speaks its API (this worker does, below /v2/)."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import client_inputs, client_outputs
from .client_events import Deadline, patient, poll
from .client_http import DownloadFailed, Http, HttpClient, Refused, compact
from .client_inputs import Source
from .client_jobs import Event, Job

BASE_URL = "https://api.runpod.ai/v2"
# What RunPod takes as the body of /run.
_LIMIT_BYTES = 10_000_000
_JSON = {"Content-Type": "application/json"}


class RunpodClient(HttpClient):
    """One endpoint. Raises what Client raises; what RunPod does not offer (list, validate) raises Refused."""

    def __init__(
        self,
        endpoint_id: str,
        api_key: str | None = None,
        *,
        base_url: str = BASE_URL,
        timeout_s: float = 30.0,
        retries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        url = f"{base_url.rstrip('/')}/{endpoint_id}"
        super().__init__(Http(url, api_key, timeout_s=timeout_s, retries=retries, sleep=sleep))
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
        """As Client.submit, with files inline. RunPod knows no key: what may have arrived is not sent again."""
        entries = client_inputs.image_entries(images or {}, None, 0)
        given = client_inputs.body(workflow, entries, overrides, {"gpu": gpu, **options})
        return self._run(given, {}, priority, webhook, idempotency_key)

    def submit_job(
        self,
        job: Any,
        images: Mapping[str, Source] | None = None,
        overrides: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Job:
        """As Client.submit_job; what stands beside `input` goes to RunPod as it is."""
        entries = client_inputs.image_entries(images or {}, None, 0)
        given, beside = client_inputs.completed(job, entries, overrides, options)
        own = beside or given  # without anything beside it they stand in the input
        return self._run(given, beside, own.pop("priority", None), own.pop("webhook", None), idempotency_key)

    def _run(
        self,
        given: Mapping[str, Any],
        beside: Mapping[str, Any],
        priority: str | None,
        webhook: str | None,
        idempotency_key: str | None,
    ) -> Job:
        content: dict[str, Any] = {"input": given, **beside}
        if webhook:
            content["webhook"] = webhook
        if priority:
            policy = {**(beside.get("policy") or {}), "lowPriority": priority == "low"}
            content |= {"policy": policy} if beside.get("policy") or priority == "low" else {}
        data = compact(content)
        if len(data) > _LIMIT_BYTES:
            text = f"The job has {len(data):,} bytes, RunPod takes {_LIMIT_BYTES:,}: give large images as URLs."
            raise Refused(413, text, "INPUT_TOO_LARGE")
        headers = {**_JSON, **({"Idempotency-Key": idempotency_key} if idempotency_key else {})}
        return Job.read(self._http.json("POST", "run", repeatable=False, data=data, headers=headers))

    def status(self, job_id: str, *, outputs: str | None = None) -> Job:
        """The job as it is now; `outputs` is the worker's choice here."""
        return Job.read(self._http.json("GET", f"status/{job_id}"))

    def why(self, job_id: str) -> str | None:
        """Not to be had here."""
        return None

    def watch(self, job_id: str, timeout_s: float | None = None) -> Iterator[Event]:
        """As Client.watch. /status is asked: the worker's progress is there, while /stream hands it to one reader."""
        deadline = Deadline(timeout_s)
        return poll(patient(lambda: self.status(job_id), deadline, self._sleep), deadline, self._sleep)

    def wait(self, job_id: str, timeout_s: float | None = None, on_event: Callable[[Event], None] | None = None) -> Job:
        """The job once it has ended. Raises StillRunning about `timeout_s` after the call."""
        for event in self.watch(job_id, timeout_s):
            if on_event:
                on_event(event)
        return self.status(job_id)

    def download(self, job: Job | str, folder: Path | str = ".") -> Iterator[Path]:
        """As Client.download. RunPod keeps results for half an hour."""
        job = self.status(job) if isinstance(job, str) else job
        if not job.succeeded:
            raise DownloadFailed(f"Job {job.job_id} is {job.status}: there is nothing to download.")
        return client_outputs.save(self._http, job, Path(folder))

    def cancel(self, job_id: str) -> Job:
        """Stop the job, waiting or running."""
        return Job.read(self._http.json("POST", f"cancel/{job_id}", headers=_JSON))

    def health(self) -> dict[str, Any]:
        """Counts of jobs and workers."""
        return dict(self._http.json("GET", "health"))

    def stats(self, *, include_recent: bool = False) -> dict[str, Any]:
        """The counts of jobs in health."""
        return dict(self.health().get("jobs") or {})

    def list(self, *, limit: int = 100, **filters: Any) -> Iterator[Job]:
        """Not to be had here."""
        raise Refused(501, "RunPod does not list jobs: keep their ids.", "NOT_OFFERED")

    def validate(
        self,
        workflow: Mapping[str, Any],
        images: Mapping[str, Source] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Not to be had here."""
        return self.validate_job(workflow)

    def validate_job(
        self,
        job: Any,
        images: Mapping[str, Source] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Not to be had here."""
        text = "RunPod does not validate workflows: `python -m api validate` does, against a ComfyUI of your own."
        raise Refused(501, text, "NOT_OFFERED")
