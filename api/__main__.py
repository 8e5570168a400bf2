"""The command line: `python -m api serverless | run | demo | settings`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from . import demo, wiring
from .errors import WorkerError
from .settings import load_settings, table


def main(argv: Sequence[str]) -> int:
    """Exit status: 0 done, 1 the job failed or a setting is wrong, 2 wrong arguments."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.command(arguments)
    except WorkerError as error:
        print(error.message, file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api", description="ComfyUI Worker")
    commands = parser.add_subparsers(required=True, metavar="command")
    serverless = commands.add_parser("serverless", help="take jobs from RunPod (what handler.py does by default)")
    serverless.set_defaults(command=lambda _: wiring.start())
    run = commands.add_parser("run", help="run one job from a file and print its result as JSON")
    run.add_argument("job", type=Path, help='file with {"input": {"workflow": …}} or a bare API-format workflow')
    run.set_defaults(command=_run)
    show = commands.add_parser("demo", help="run a job with progress and write its outputs to a folder")
    show.add_argument("--job", type=Path, default=demo.TEST_INPUT)
    show.add_argument("--out", type=Path, default=Path("demo_output"))
    show.set_defaults(command=lambda arguments: demo.run(arguments.job, arguments.out))
    settings = commands.add_parser("settings", help="print the effective settings, secrets masked")
    settings.set_defaults(command=_settings)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    job = demo.read_job(arguments.job)
    result = wiring.shared_services().handler(job, cancel=demo.cancelled_by_signals())
    json.dump(result, sys.stdout, indent=2)
    print()
    return 1 if "error" in result else 0


def _settings(_arguments: argparse.Namespace) -> int:
    rows = [("variable", "value", "default", "meaning"), *table(load_settings())]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
