"""Front door: checks which `api` it got, exports `handler`, starts the mode the environment asks for."""

from pathlib import Path
from typing import Any

import api

_HERE = Path(__file__).resolve().parent
if Path(api.__file__).resolve().parent.parent != _HERE:
    raise SystemExit(f"handler.py imported another package called 'api' ({api.__file__}); run it from {_HERE}.")

from api import modes, wiring  # noqa: E402


def handler(job: dict[str, Any]) -> dict[str, Any]:
    """Run one job `{"id"?, "input": {"workflow", "images"?, …}}` to its result; never raises for the job's fault."""
    return wiring.shared_services().handler(job)


if __name__ == "__main__":
    raise SystemExit(modes.start())
