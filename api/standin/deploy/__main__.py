"""`python -m api.standin.deploy`: a ComfyUI Deploy on loopback, with an account of its own; takes any key, or none."""

import argparse
import asyncio
import logging
import sys

from aiohttp import web

from ..faults import Faults, parse
from .faults import FAULTS
from .sample import sample_account
from .server import Options, create_app


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m api.standin.deploy", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3011, help="0 = a free one")
    parser.add_argument("--key", action="append", default=[], help="take only this key, or these")
    parser.add_argument("--prefix", default="/api", help="what all paths begin with; may be empty")
    parser.add_argument("--rate", type=int, default=0, metavar="N", help="answer 429 to more requests in a minute")
    parser.add_argument("--run-s", type=float, default=0.2, metavar="S", help="how long a run takes")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME[=VALUE]", help="see GET /standin/faults")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    faults = Faults(dict(parse(text) for text in arguments.fault), FAULTS)
    options = Options(tuple(arguments.key), arguments.prefix.rstrip("/"), arguments.rate, arguments.run_s)
    runner = web.AppRunner(create_app(sample_account(), faults, options), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, arguments.host, arguments.port).start()
    port = runner.addresses[0][1]
    print(f"ComfyUI Deploy stand-in listening on http://{arguments.host}:{port}", flush=True)  # noqa: T201
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        asyncio.run(_serve(_arguments()))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
