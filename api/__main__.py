"""The command line: `python -m api serve | serverless | run | validate | workflows | demo | migrate | openapi | …`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import demo, modes, wiring, workflow_files
from .errors import WorkerError
from .settings import load_settings, table


def main(argv: Sequence[str]) -> int:
    """Exit status: 0 done, 1 the job failed or a setting is wrong, 2 wrong arguments."""
    try:
        if argv[:1] == ["deploy"]:
            from . import deploy_cli  # what it needs is nothing to the others

            return deploy_cli.main(argv[1:])
        arguments = _parser().parse_args(argv)
        status: int = arguments.command(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it (head, less) has seen enough. Python would flush once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except WorkerError as error:
        print(error.message, file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api", description="ComfyUI Worker")
    commands = parser.add_subparsers(required=True, metavar="command")
    serve = commands.add_parser("serve", help="serve the HTTP API (what handler.py does with HTTP_API_MODE=true)")
    serve.set_defaults(command=lambda _: modes.serve(load_settings()))
    serverless = commands.add_parser("serverless", help="take jobs from RunPod (what handler.py does by default)")
    serverless.set_defaults(command=lambda _: modes.take_jobs(load_settings()))
    run = commands.add_parser("run", help="run one job from a file and print its result as JSON")
    run.add_argument("job", type=Path, help="file with a job, as the body of /run or of RunPod, or with a workflow")
    run.set_defaults(command=_run)
    validate = commands.add_parser("validate", help="tell whether ComfyUI would run a workflow, without running it")
    validate.add_argument("job", type=Path, help="as for run")
    validate.add_argument("--json", action="store_true", help="print the report as JSON")
    validate.set_defaults(command=_validate)
    show = commands.add_parser("demo", help="run a job with progress and write its outputs to a folder")
    show.add_argument("--job", type=Path, default=demo.TEST_INPUT)
    show.add_argument("--out", type=Path, default=Path("demo_output"))
    show.set_defaults(command=lambda arguments: demo.run(arguments.job, arguments.out))
    _add_workflows(commands.add_parser("workflows", help="named workflows: add, list, check"))
    commands.add_parser("deploy", help="ComfyUI Deploy: catalog, demo; checks of names and routing")
    migrate = commands.add_parser("migrate", help="bring the job database to this release's version")
    migrate.set_defaults(command=_migrate)
    gallery = commands.add_parser(
        "gallery", help="the gallery's index: make it anew from the files beside the pictures"
    )
    gallery.add_argument("action", choices=["reindex"])
    gallery.set_defaults(command=_reindex)
    openapi = commands.add_parser("openapi", help="print the OpenAPI document of the HTTP API")
    openapi.add_argument("--below", default="", metavar="PATH", help="of these paths only, e.g. /api/comfy")
    openapi.set_defaults(command=_openapi)
    settings = commands.add_parser("settings", help="print the effective settings, secrets masked")
    settings.set_defaults(command=_settings)
    return parser


def _add_workflows(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="command")
    add = commands.add_parser("add", help="make a named workflow of an exported one (API format), to be looked over")
    add.add_argument("export", type=Path)
    add.add_argument("--name", help="its name in the API; none = that of the file")
    add.add_argument("--dir", type=Path, help="where it goes; none = WORKFLOWS_DIR, or ./workflows")
    add.set_defaults(command=_add_workflow)
    commands.add_parser("list", help="tell which there are").set_defaults(command=_list_workflows)
    check = commands.add_parser("check", help="tell what is wrong with one, or with all below a folder")
    check.add_argument("path", type=Path, nargs="?", help="none = WORKFLOWS_DIR")
    check.set_defaults(command=_check_workflows)


def _add_workflow(arguments: argparse.Namespace) -> int:
    folder = arguments.dir or load_settings().workflows_dir or Path("workflows")
    place = workflow_files.add(arguments.export, arguments.name, folder)
    print(f"{place / 'manifest.json'} is a first draft: look it over, then call it with POST /api/{place.name}.")
    if load_settings().workflows_dir != folder:
        print(f"Workers find it with WORKFLOWS_DIR={folder.resolve()}.")
    return 0


def _list_workflows(_arguments: argparse.Namespace) -> int:
    _print_columns([("name", "inputs", "where"), *workflow_files.table(wiring.shared_services().workflows)])
    return 0


def _check_workflows(arguments: argparse.Namespace) -> int:
    path = arguments.path or load_settings().workflows_dir
    faults = workflow_files.check(path) if path else ["Name a workflow or a folder, or set WORKFLOWS_DIR."]
    print("\n".join(faults) or "All sound.", file=sys.stderr if faults else sys.stdout)
    return 1 if faults else 0


def _run(arguments: argparse.Namespace) -> int:
    job = demo.read_job(arguments.job)
    result = wiring.shared_services().handler(job, cancel=demo.cancelled_by_signals())
    json.dump(result, sys.stdout, indent=2)
    print()
    return 1 if "error" in result else 0


def _validate(arguments: argparse.Namespace) -> int:
    report = wiring.preflight(wiring.shared_services()).validate(demo.read_job(arguments.job))
    print(json.dumps(report.as_dict(), indent=2) if arguments.json else report.readable())
    return 0 if report.ok else 1


def _migrate(_arguments: argparse.Namespace) -> int:
    from . import lasting

    print(f"The job database is at version {lasting.migrate(load_settings())}.")
    return 0


def _reindex(_arguments: argparse.Namespace) -> int:
    from . import gallery_layer

    folder, count = gallery_layer.reindex(load_settings())
    print(f"The index of {folder} has {count} files.")
    return 0


def _openapi(arguments: argparse.Namespace) -> int:
    from . import openapi_file

    json.dump(openapi_file.document(load_settings(), arguments.below.rstrip("/")), sys.stdout, indent=1)
    print()
    return 0


def _settings(_arguments: argparse.Namespace) -> int:
    settings = load_settings()
    limit_s = wiring.time_limit_s(settings, lasting=settings.http_api_mode)
    if limit_s:
        settings = settings.model_copy(update={"job_timeout": round(limit_s * 1000)})
    rows = [("variable", "value", "default", "meaning"), *table(settings)]
    _print_columns(rows)
    return 0


def _print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    last = len(rows[0]) - 1
    widths = [max(len(row[column]) for row in rows) for column in range(last)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
