"""`python -m api deploy …`: the catalogue as documents, demos that show it at work, checks of names and routing."""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import demo, logs
from .client_jobs import Event
from .client_terminal import ProgressLine
from .comfydeploy.address import base_url
from .comfydeploy.build import build, connect
from .comfydeploy.catalog import Catalog
from .comfydeploy.client import DeployClient
from .comfydeploy.documents import CATALOG_FILE, MAPPING_FILE, name_mapping, workflows_catalog
from .comfydeploy.explore import explore
from .comfydeploy.rows import InputType
from .deploy_errors import DeployOff
from .errors import InvalidInput
from .ids import JobId
from .jobs.events import JobEvent, NodeStarted, ProgressMade, PromptAssigned, PromptQueued, StageFinished
from .jobs.ports import InputFile, RunOutcome, RunRequest
from .jobs.request import DeploymentSpec
from .settings import Settings, load_settings
from .workflows import naming, routing_file
from .workflows.registry import Registry

_STANDIN = "api.standin.deploy"
# What a demo gives to inputs nobody has given anything for.
_EXAMPLES: Mapping[str, Any] = {"string": "a lighthouse at dusk", "integer": 1, "float": 1.0, "boolean": False}
_EXAMPLE_FILE = "https://raw.githubusercontent.com/comfyanonymous/ComfyUI/master/input/example.png"


def main(argv: Sequence[str]) -> int:
    """Run one command; the exit status. Raises WorkerError."""
    arguments = _parser().parse_args(argv)
    status: int = arguments.command(arguments)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api deploy", description="ComfyUI Deploy")
    commands = parser.add_subparsers(required=True, metavar="command")
    catalog = commands.add_parser("catalog", help=f"write {CATALOG_FILE} and {MAPPING_FILE}")
    catalog.add_argument("--out", type=Path, required=True, metavar="DIR")
    catalog.set_defaults(command=_catalog)
    for word, what, check in (
        ("names", "names of workflows (WORKFLOW_NAMES)", _check_names),
        ("routing", "rules of where jobs go (ROUTING_FILE)", _check_routing),
    ):
        checks = commands.add_parser(word, help=what).add_subparsers(required=True, metavar="action")
        one = checks.add_parser("check", help="tell what is wrong with a file, a line each")
        one.add_argument("file", type=Path, metavar="FILE")
        one.set_defaults(command=check)
    shown = commands.add_parser("demo", help="show it at work; without COMFY_DEPLOY_API_KEY on a stand-in")
    demos = shown.add_subparsers(required=True, metavar="demo")
    api = demos.add_parser("api", help="connect, and list workflows, deployments and machines")
    api.add_argument("--explore", action="store_true", help="also tell which paths answer, with and without /api")
    api.set_defaults(command=_demo_api)
    workflow = demos.add_parser("workflow", help="run one, watch it, and save what it makes")
    workflow.add_argument("name", nargs="?", help="a workflow's name or id; none = the first that is deployed")
    workflow.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="JSON, or a text")
    workflow.add_argument("--file", action="append", default=[], metavar="NAME=FILE", help="an input that is a file")
    workflow.add_argument("--machine", default="", help="the machine's name or id; none = where it is deployed")
    workflow.add_argument("--timeout", type=float, metavar="S", help="longest execution")
    workflow.add_argument("--out", type=Path, default=Path("deploy_output"), metavar="DIR")
    workflow.set_defaults(command=_demo_workflow)
    return parser


def _catalog(arguments: argparse.Namespace) -> int:
    settings = load_settings()
    logs.configure("warning", "console")
    if settings.comfy_deploy_api_key is None:
        raise DeployOff("Set COMFY_DEPLOY_API_KEY: the catalogue is of the account that it opens.")
    client, catalog = _connected(settings)
    names = naming.names_file(settings.workflow_names).get()
    local = [entry.name for entry in Registry(settings.workflows_dir, roots=settings.workflow_paths).entries()]
    workflows = catalog.workflows()
    documents = {
        CATALOG_FILE: workflows_catalog(workflows, catalog.deployments(), catalog.machines(), names, client.base_url),
        MAPPING_FILE: name_mapping(workflows, local, names, client.base_url),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, text in documents.items():
        (arguments.out / name).write_text(text, encoding="utf-8")
        _say(str(arguments.out / name))
    return 0


def _check_names(arguments: argparse.Namespace) -> int:
    return _told_of(arguments.file, naming.check(arguments.file))


def _check_routing(arguments: argparse.Namespace) -> int:
    logs.configure("warning", "console")
    names = naming.names_file(load_settings().workflow_names)
    return _told_of(arguments.file, routing_file.check(arguments.file, names.get()))


def _told_of(file: Path, faults: Sequence[str]) -> int:
    for fault in faults:
        sys.stderr.write(f"{file}: {fault}\n")
    if not faults:
        _say(f"{file} is sound.")
    return 1 if faults else 0


def _demo_api(arguments: argparse.Namespace) -> int:
    with _somewhere() as settings:
        client, catalog = _connected(settings)
        _say(f"Connected to {client.base_url}")
        machines = {machine.id: machine for machine in catalog.machines()}
        _list(
            "Machines",
            [
                f"{each.name}: {each.kind}, {each.gpu or 'any GPU'}, {each.trouble or each.status}"
                for each in machines.values()
            ],
        )
        _list("Workflows", [f"{each.name}  →  {catalog.standard(each.name)}" for each in catalog.workflows()])
        lines = []
        for each in catalog.deployments():
            machine = machines[each.machine_id].name if each.machine_id in machines else each.machine_id
            lines.append(f"{each.workflow_name} ({each.environment}) on {machine}: {_told(each.inputs)}")
        _list("Deployments", lines)
        if arguments.explore:
            _explore(settings)
    return 0


def _explore(settings: Settings) -> None:
    _say("Which paths answer:")
    secret = settings.comfy_deploy_api_key
    for found in explore(settings.comfy_deploy_api_url, secret.get_secret_value() if secret else None):
        what = f"{found.entries} entries" if found.entries is not None else found.reason or "an object"
        _say(f"  {found.status or '---'}  {found.url}  {what}")
    _say(f"Used is {base_url(settings.comfy_deploy_api_url, settings.comfy_deploy_api_prefix)}, by rule.")


def _demo_workflow(arguments: argparse.Namespace) -> int:
    with _somewhere() as settings, contextlib.ExitStack() as stack:
        client, catalog = _connected(settings)
        name = arguments.name or _first_deployed(catalog)
        workflow = catalog.workflow(name)
        _say(f"{client.base_url}: {workflow.name}")
        deployments = catalog.deployments_of(workflow.id)
        files = dict(_file(text) for text in arguments.file)
        inputs = {**_examples(deployments[0].inputs if deployments else ()), **dict(map(_input, arguments.input))}
        inputs |= {each: file.name for each, file in files.items()}
        _say(f"Inputs: {json.dumps(inputs, ensure_ascii=False)}")
        spec = DeploymentSpec(workflow_id=workflow.id, inputs=inputs, machine_id=arguments.machine)
        workdir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="deploy-demo-")))
        request = RunRequest(
            JobId("demo"), {}, "demo", tuple(files.values()), timeout_s=arguments.timeout, deployment=spec
        )
        outcome = _watched(client, catalog, settings, request, workdir)
        _save(outcome, arguments.out)
    return 1 if outcome.failure else 0


def _watched(
    client: DeployClient, catalog: Catalog, settings: Settings, request: RunRequest, workdir: Path
) -> RunOutcome:
    deploy = build(client, catalog, poll_s=min(settings.comfy_deploy_poll_s, 0.5))
    line = ProgressLine(sys.stdout)
    try:
        return deploy.target.run(request, workdir, lambda event: _show(line, event), demo.cancelled_by_signals())
    finally:
        line.done()


def _show(line: ProgressLine, event: JobEvent) -> None:
    match event:
        case PromptAssigned(prompt_id=prompt_id) if not prompt_id.startswith("cd-"):
            line.done()
            _say(f"Run {prompt_id}")
        case PromptQueued(position=position):
            line.show(Event("queued", {"position": position}))
        case NodeStarted(class_type=class_type):
            line.show(Event("progress", {"node": class_type}))
        case ProgressMade(percent=percent):
            line.show(Event("progress", {"percent": percent}))
        case StageFinished(stage=stage, seconds=seconds):
            line.done()
            _say(f"{stage} took {seconds:.2f} s")
        case _:
            pass


def _save(outcome: RunOutcome, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    written: set[str] = set()
    for file in outcome.files:
        # Two nodes may call theirs alike.
        name = f"{len(written)}-{file.filename}" if file.filename in written else file.filename
        written.add(name)
        shutil.copyfile(file.path, out / name)
        _say(f"Wrote {out / name} ({file.mime_type}, {file.size_bytes:,} bytes)")
    for text in outcome.texts:
        _say(f"Text of {text.node_id}: {text.text}")
    for warning in outcome.warnings:
        _say(f"Note: {warning['message']}")
    if outcome.failure:
        _say(f"The run failed: {outcome.failure.message}")


@contextlib.contextmanager
def _somewhere() -> Iterator[Settings]:
    """The settings, of ComfyUI Deploy itself with a key, of a stand-in without."""
    settings = load_settings()
    logs.configure("warning", "console")
    if settings.comfy_deploy_api_key is not None:
        yield settings
        return
    with demo.loopback(_STANDIN, "--run-s", "1.5") as url:
        _say(
            f"No COMFY_DEPLOY_API_KEY is set. Using the STAND-IN at {url}: its runs make pictures, but not of prompts."
        )
        yield settings.model_copy(update={"comfy_deploy_api_url": url, "comfy_deploy_api_prefix": "/api"})


def _connected(settings: Settings) -> tuple[DeployClient, Catalog]:
    secret = settings.comfy_deploy_api_key
    names = naming.names_file(settings.workflow_names)
    return connect(
        settings.comfy_deploy_api_url,
        secret.get_secret_value() if secret else None,
        prefix=settings.comfy_deploy_api_prefix,
        timeout_s=settings.comfy_deploy_timeout_s,
        ttl_s=settings.comfy_deploy_cache_ttl_s,
        standard=lambda name: names.get().standard(name),
    )


def _first_deployed(catalog: Catalog) -> str:
    for each in catalog.deployments():
        if catalog.machine(each.machine_id).trouble is None:
            return each.workflow_id
    raise InvalidInput("Nothing is deployed on a machine that works; name a workflow.")


def _examples(types: tuple[InputType, ...]) -> dict[str, Any]:
    needed = [each for each in types if each.is_required]
    return {each.name: _EXAMPLE_FILE if each.is_file else _EXAMPLES.get(each.kind, "x") for each in needed}


def _told(types: tuple[InputType, ...]) -> str:
    return ", ".join(f"{each.name}{'*' if each.is_required else ''}" for each in types) or "no inputs"


def _input(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput(f"--input {text}: write NAME=VALUE.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _file(text: str) -> tuple[str, InputFile]:
    name, equals, place = text.partition("=")
    path = Path(place)
    if not equals or not path.is_file():
        raise InvalidInput(f"--file {text}: write NAME=FILE, with a file that is there.")
    return name, InputFile(path.name, path, "", path.stat().st_size, "")


def _list(title: str, lines: list[str]) -> None:
    _say(f"{title} ({len(lines)}):")
    for line in lines:
        _say(f"  {line}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
