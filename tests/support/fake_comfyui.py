"""Stands where start.sh expects ComfyUI's main.py and misbehaves as FAKE_COMFYUI says. Standard library only."""

import os
import signal
import socket
import sys
import threading


def listen() -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])))
    server.listen()
    print("To see the GUI go to: http://127.0.0.1", flush=True)
    return server


def main() -> None:
    behaviour = os.environ.get("FAKE_COMFYUI", "up")
    print(f"fake ComfyUI: {behaviour} {sys.argv[1:]}", flush=True)
    if behaviour == "import_error":
        print("ModuleNotFoundError: No module named 'torchsde'", flush=True)
        sys.exit(1)
    if behaviour == "hang":
        signal.pause()
    if behaviour == "ignores_term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server = listen()
    if behaviour == "forks" and os.fork() == 0:
        signal.pause()  # a child of a custom node: it has inherited the listening socket
    if behaviour == "chatty":
        pause = threading.Event()
        for number in range(1_000_000):
            print(f"line {number} " + "x" * 90, flush=True)
            pause.wait(0.0005)
    signal.pause()
    server.close()


main()
