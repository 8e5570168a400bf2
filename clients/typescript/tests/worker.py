"""A worker with a key over the stand-in, for the tests of the client: prints where it is, ends when its input does."""

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.api_worker import ApiWorker  # noqa: E402
from support.standin_process import StandinProcess  # noqa: E402
from support.waiting import wait_for  # noqa: E402

KEY = "client-tests"
OFFERED = (
    "--checkpoint=sd_xl_base_1.0.safetensors",
    "--checkpoint=flux1-dev-fp8.safetensors",
    "--lora=oil.safetensors",
)


def main() -> None:
    headers = {"X-API-Key": KEY}
    with tempfile.TemporaryDirectory(prefix="client-tests-") as folder, StandinProcess(arguments=OFFERED) as comfyui:
        environment = {"API_KEY": KEY, "COMFY_VIEW_RATE": "off", "ROOT_DIR": folder}
        with ApiWorker(Path(folder), comfyui.url, environment) as worker:
            wait_for(lambda: worker.get("/readyz", headers=headers).ok, "ComfyUI")
            sys.stdout.write(json.dumps({"url": worker.url, "key": KEY}) + "\n")
            sys.stdout.flush()
            sys.stdin.read()


if __name__ == "__main__":
    main()
