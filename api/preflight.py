"""Whether a job would be run, told before it waits in line: its fields, its graph, and what each ComfyUI has.

Asks every ComfyUI for its node definitions and nothing else; no GPU is touched, no input is fetched.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

from .comfyui.catalog import Catalog
from .comfyui.output_kinds import output_kind
from .comfyui.validation import Verdict, inspect
from .errors import ComfyError, ComfyUnreachable, Detail, InvalidInput, WorkflowInUiFormat
from .ids import InstanceName
from .jobs.ports import Workflow
from .jobs.quoting import quote
from .jobs.request import JobRequest
from .workflows import graph

# What is found missing may have been installed since: definitions older than this are asked for anew first.
_STALE_AFTER_S = 5.0
Format = Literal["api", "ui", "unknown"]


@dataclass(frozen=True, slots=True)
class InstanceReport:
    """One ComfyUI. `missing` is why it would refuse the job; `error` why it could not be asked."""

    name: InstanceName
    could_run: bool
    missing: tuple[Detail, ...] = ()
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "could_run": self.could_run,
            "missing": list(self.missing),
            "error": self.error,
        }

    def told(self) -> str:
        """In one line."""
        if self.error:
            return f"ComfyUI {self.name}: not asked, {self.error}"
        return f"ComfyUI {self.name}: {'would run it' if self.could_run else 'would refuse it'}"


@dataclass(frozen=True, slots=True)
class Report:
    """`ok`: some ComfyUI would run it. `errors` are those of the ComfyUI that lacks least; `warnings` stop nothing.

    `outputs` are the kinds of media to come; `expected_s` seconds of execution, None when nothing like it has run.
    """

    ok: bool
    format: Format
    errors: tuple[Detail, ...] = ()
    warnings: tuple[Detail, ...] = ()
    instances: tuple[InstanceReport, ...] = ()
    outputs: tuple[str, ...] = ()
    expected_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "ok": self.ok,
            "format": self.format,
            "errors": list(self.errors),
            "warnings": list(self.warnings),
            "instances": [instance.as_dict() for instance in self.instances],
            "outputs": list(self.outputs),
            "expected_s": self.expected_s,
        }

    def readable(self) -> str:
        """For people, several lines."""
        lines = [_HEADLINES[self.ok], *(_line("error", detail) for detail in self.errors)]
        lines += [_line("warning", detail) for detail in self.warnings]
        lines += [f"  {instance.told()}" for instance in self.instances]
        if self.outputs:
            lines.append(f"  gives {', '.join(self.outputs)}")
        if self.expected_s is not None:
            lines.append(f"  takes about {self.expected_s:.0f} s")
        return "\n".join(lines)


_HEADLINES = {True: "The workflow can run.", False: "The workflow cannot run:"}


def _line(kind: str, detail: Detail) -> str:
    class_type = f" ({detail['class_type']})" if detail.get("class_type") else ""
    node = f"node {detail['node_id']}{class_type}: " if detail.get("node_id") else ""
    message = detail.get("message", "")
    near = f" Nearest: {', '.join(detail['nearest'])}." if detail.get("nearest") else ""
    # Messages about the graph name their node themselves.
    return f"  {kind}: {'' if message.startswith('Node ') else node}{message}{near}"


@dataclass(frozen=True, slots=True)
class _Finding:
    report: InstanceReport
    verdict: Verdict | None = None
    kinds: tuple[str, ...] = ()


class Preflight:
    """Safe to share between threads. `max_nodes` and `roots` are those the job itself will be checked with.

    `may_run_on` says whether a job's place leaves it a ComfyUI, whatever that one has.
    """

    def __init__(
        self,
        catalogs: Mapping[InstanceName, Catalog],
        check: Callable[[object], JobRequest],
        *,
        expected_s: Callable[[Workflow], float | None] = lambda _workflow: None,
        max_nodes: int = 5000,
        roots: Sequence[str] = ("/runpod-volume",),
        may_run_on: Callable[[JobRequest, InstanceName], bool] = lambda _request, _name: True,
    ) -> None:
        self._catalogs = catalogs
        self._check = check
        self._expected_s = expected_s
        self._max_nodes = max_nodes
        self._roots = roots
        self._may_run_on = may_run_on

    def validate(self, job: object) -> Report:
        """Look at a job `{"input": {"workflow": …, "images"?, "overrides"?}}`; whatever is wrong is in the report.

        Files that come with the job count as present. Raises ComfyUnreachable when no ComfyUI could be asked.
        """
        try:
            request = self._check(job)
            workflow = self._workflow(request)
        except InvalidInput as error:
            return _refused(error)
        uploads = {image.name for image in request.images}
        items = [item for item in self._catalogs.items() if self._may_run_on(request, item[0])]
        findings = self._inspect_all(items, graph.save_streamed_frames(workflow), uploads)
        report = _report(findings) if items or request.gpu is None else _unasked(request.gpu)
        warnings = (*report.warnings, *_unused(workflow, uploads))
        return replace(report, warnings=warnings, expected_s=self._expected_s(workflow))

    def _workflow(self, request: JobRequest) -> Workflow:
        workflow = graph.check(request.workflow, self._max_nodes, self._roots)
        if not request.overrides:
            return workflow
        return graph.check(graph.apply_overrides(workflow, request.overrides), self._max_nodes, self._roots)

    def _inspect_all(
        self, items: Sequence[tuple[InstanceName, Catalog]], workflow: Workflow, uploads: set[str]
    ) -> list[_Finding]:
        if len(items) == 1:
            return [_inspect(items[0], workflow, uploads)]
        with ThreadPoolExecutor(max(len(items), 1), "preflight") as threads:
            return list(threads.map(lambda item: _inspect(item, workflow, uploads), items))


def _inspect(item: tuple[InstanceName, Catalog], workflow: Workflow, uploads: set[str]) -> _Finding:
    name, catalog = item
    try:
        verdict = inspect(workflow, catalog.object_info(), uploads, catalog.version())
        if verdict.refused and catalog.age_s() > _STALE_AFTER_S:
            verdict = inspect(workflow, catalog.object_info(_STALE_AFTER_S), uploads, catalog.version())
        info = catalog.object_info()
    except ComfyError as error:
        return _Finding(InstanceReport(name, could_run=False, error=error.message))
    classes = [workflow[node_id]["class_type"] for node_id in verdict.outputs]
    kinds = tuple(dict.fromkeys(output_kind(class_type, info.get(class_type) or {}) for class_type in classes))
    return _Finding(InstanceReport(name, not verdict.refused, verdict.refused), verdict, kinds)


def _report(findings: list[_Finding]) -> Report:
    asked = [finding for finding in findings if finding.verdict]
    if not asked:
        reasons = " ".join(dict.fromkeys(finding.report.error or "" for finding in findings))
        raise ComfyUnreachable(f"No ComfyUI could be asked what it has. {reasons}".strip())
    best = min(asked, key=lambda finding: len(finding.report.missing))
    verdict = best.verdict
    return Report(
        ok=best.report.could_run,
        format="api",
        errors=best.report.missing,
        warnings=(*verdict.dropped, *verdict.doubts) if verdict else (),
        instances=tuple(finding.report for finding in findings),
        outputs=best.kinds,
    )


def _unasked(gpu: str) -> Report:
    message = f"It runs on {quote(gpu)}, whose nodes and models are not known here: they were not looked at."
    return Report(ok=True, format="api", warnings=(Detail(field="gpu", code="not_checked", message=message),))


def _refused(error: InvalidInput) -> Report:
    details = tuple(error.details) or (Detail(code=error.code.lower(), message=error.message),)
    if isinstance(error, WorkflowInUiFormat):
        return Report(ok=False, format="ui", errors=details)
    about_document = any(detail.get("code") == "not_a_workflow" for detail in details)
    return Report(ok=False, format="unknown" if about_document else "api", errors=details)


def _unused(workflow: Workflow, uploads: set[str]) -> tuple[Detail, ...]:
    _bound, unused = graph.bind_files(workflow, {name: name for name in uploads})
    return tuple(
        Detail(field="images", code="unused_file", message=f"No node uses the file {quote(name)} that comes along.")
        for name in sorted(unused)
    )
