"""A process that serves door_app as HTTP mode does; on_stop waits for a file. Arguments: port, folder.

It prints `ready URL`, and `stopped` when serve() has returned. Logs are JSON on stderr.
"""

import sys
import threading
from pathlib import Path

from support.door_app import door_app
from support.waiting import wait_for

from api import logs, server
from api.errors import WorkerError
from api.routes.probes import Probes


def main(port: int, folder: Path) -> int:
    logs.configure("debug", "json")
    stopping = threading.Event()
    checks = {"serving": lambda: "draining" if stopping.is_set() else None}

    def on_stop() -> None:
        (folder / "draining").touch()
        wait_for((folder / "drained").exists, "the jobs to end")

    try:
        server.serve(
            door_app(probes=Probes("1.2.3", checks=checks)),
            server.Listen("127.0.0.1", port),
            stopping=stopping,
            on_stop=on_stop,
            started=lambda url: print(f"ready {url}", flush=True),
        )
    except WorkerError as error:
        print(error.message, file=sys.stderr)
        return 1
    print("stopped", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), Path(sys.argv[2])))
