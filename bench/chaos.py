"""The long drill: 200 jobs while worker and ComfyUI are killed at random, the disk is full, the database locked.

Exit status 1 when a job is lost, fails, or ends without exactly its own picture.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]

from support.api_worker import ApiWorker  # noqa: E402
from support.chaos import Chaos, faults, full_disk, kills, locked_database  # noqa: E402
from support.standin_process import StandinProcess  # noqa: E402

_TROUBLES = {"kills": kills, "full_disk": full_disk, "locked_database": locked_database}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--execute-s", type=float, default=0.3, help="time a job takes in ComfyUI")
    parser.add_argument("--every-s", type=float, default=3.0, help="pause between two troubles, on average")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", choices=_TROUBLES)
    arguments = parser.parse_args()
    return max(_drill(name, arguments) for name in ([arguments.only] if arguments.only else _TROUBLES))


def _drill(name: str, arguments: argparse.Namespace) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        StandinProcess() as comfyui,
        ApiWorker(Path(folder), comfyui.url) as worker,
    ):
        chaos = Chaos(worker, comfyui, _TROUBLES[name], every_s=arguments.every_s, seed=arguments.seed)
        started = time.monotonic()
        tally = chaos.run(arguments.jobs, arguments.execute_s, timeout_s=1800)
        found = faults(tally, worker, arguments.jobs)
        troubles = ", ".join(f"{count} x {kind}" for kind, count in tally.troubles.items())
        took_s = time.monotonic() - started
        print(f"{name}: {arguments.jobs} jobs in {took_s:.0f} s, seed {arguments.seed}; {troubles}")
        for fault in found:
            print(f"  {fault}")
        return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
