"""Stands where start.sh expects handler.py: notes how it was started, and ends as it is told. Standard library only.

FAKE_HANDLER_EXIT: status to end with. FAKE_HANDLER: `ends` at once, `ignores` signals, else waits for one.
"""

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType


def main() -> None:
    run_dir = Path(os.environ["COMFY_RUN_DIR"])
    behaviour = os.environ.get("FAKE_HANDLER", "waits")
    facts = {
        "argv": sys.argv[1:],
        "cwd": str(Path.cwd()),
        "comfy_host": os.environ.get("COMFY_HOST"),
        "ld_preload": os.environ.get("LD_PRELOAD"),
        "path": os.environ["PATH"],
        "supervised": (run_dir / "comfyui.pid").exists() or (run_dir / "comfyui.exit").exists(),
        "default_int": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    }

    def on_signal(number: int, _frame: FrameType | None) -> None:
        print(f"handler got {signal.Signals(number).name}", flush=True)
        comfyui_alive = (run_dir / "comfyui.pid").exists()
        print(f"ComfyUI is still there: {comfyui_alive}", flush=True)
        if behaviour != "ignores":
            sys.exit(int(os.environ.get("FAKE_HANDLER_EXIT", "0")))

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    (run_dir / "handler.json.new").write_text(json.dumps(facts))
    (run_dir / "handler.json.new").rename(run_dir / "handler.json")
    if behaviour == "ends":
        sys.exit(int(os.environ.get("FAKE_HANDLER_EXIT", "0")))
    while True:  # not pause(): a signal just before it would be noticed with the next one only
        signal.sigtimedwait([], 0.1)


main()
