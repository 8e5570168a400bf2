"""`python -m api.standin`: runs the stand-in; takes ComfyUI's own arguments too, so that start.sh can launch it.

Arguments of ComfyUI it has no use for are ignored.
"""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

from aiohttp import web

from . import log_lines
from .diffusion_nodes import diffusion_nodes
from .executor import Directories
from .faults import Faults, parse
from .model_nodes import model_nodes
from .nodes import NODES
from .object_info import object_info
from .recorder import RECORDER_NODES
from .server import Options, create_app


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m api.standin", allow_abbrev=False, description=__doc__)
    parser.add_argument("--host", "--listen", default="127.0.0.1", nargs="?", const="0.0.0.0")  # noqa: S104
    parser.add_argument("--port", type=int, default=8188, help="0 = a free one")
    parser.add_argument("--base-directory", type=Path, help="holds input, output, temp and models; else a new one")
    parser.add_argument("--input-directory", type=Path)
    parser.add_argument("--output-directory", type=Path)
    parser.add_argument("--temp-directory", type=Path, help="files go to temp/ in it; wiped at start")
    parser.add_argument("--max-upload-size", type=float, help="MB")
    parser.add_argument("--enable-cors-header", nargs="?", const="*", metavar="ORIGIN")
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="have StandinModel offer it")
    parser.add_argument(
        "--checkpoint", action="append", default=[], metavar="NAME", help="have the nodes of text-to-image offer it"
    )
    parser.add_argument("--lora", action="append", default=[], metavar="NAME", help="beside a checkpoint")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME[=VALUE]", help="see GET /standin/faults")
    known, ignored = parser.parse_known_args()
    if ignored:
        print(f"comfyui stand-in ignores {' '.join(ignored)}", flush=True)  # noqa: T201
    return known


def _directories(arguments: argparse.Namespace) -> Directories:
    base = (arguments.base_directory or Path(tempfile.mkdtemp(prefix="comfyui-standin-"))).absolute()
    temp = (arguments.temp_directory or base).absolute() / "temp"
    directories = Directories(
        input=(arguments.input_directory or base / "input").absolute(),
        output=(arguments.output_directory or base / "output").absolute(),
        temp=temp,
        models=base / "models",
    )
    shutil.rmtree(temp, ignore_errors=True)  # before the port is bound, as ComfyUI does
    for directory in (directories.input, directories.output, temp):
        directory.mkdir(parents=True, exist_ok=True)
    return directories


async def _serve(arguments: argparse.Namespace, directories: Directories, faults: Faults) -> None:
    nodes = NODES | RECORDER_NODES | model_nodes(arguments.model)
    nodes |= diffusion_nodes(arguments.checkpoint, arguments.lora)
    options = Options(arguments.max_upload_size or 100, arguments.enable_cors_header)
    app = create_app(nodes, lambda: object_info(nodes, directories.input), directories, faults, options)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=3630.0, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, arguments.host, arguments.port)
    await site.start()
    port = runner.addresses[0][1]
    print(f"comfyui stand-in (not a real ComfyUI) listening on http://{arguments.host}:{port}", flush=True)  # noqa: T201
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def main() -> None:
    log_lines.install()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    arguments = _arguments()
    faults = Faults(dict(parse(text) for text in arguments.fault))
    directories = _directories(arguments)
    time.sleep(faults.number("slow_start"))
    # Prompts of 980 nodes in a chain are validated by recursion, some calls per node.
    sys.setrecursionlimit(20_000)
    try:
        asyncio.run(_serve(arguments, directories, faults))
    except KeyboardInterrupt:
        shutil.rmtree(directories.temp, ignore_errors=True)


if __name__ == "__main__":
    main()
