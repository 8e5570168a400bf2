#!/usr/bin/env python3
"""comfy-node-install NODE…: puts custom nodes and their dependencies into ComfyUI and its own venv.

NODE is a name of registry.comfy.org (comfyui-kjnodes, comfyui-kjnodes@1.1.0) or a git URL (https://…/repo[@ref]).
`--file custom_nodes.txt` takes them from a file, one a line. Exit status 1 when any of them failed, with their names.
Standard library only: it runs while the image is built, and knows nothing of the worker.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Sequence
from pathlib import Path

COMFY_ROOT = Path(os.environ.get("COMFY_ROOT", "/comfyui"))
COMFY_PYTHON = os.environ.get("COMFY_PYTHON", "/opt/comfyui-venv/bin/python")
REGISTRY = os.environ.get("COMFY_REGISTRY_URL", "https://api.comfy.org")
# A node's requirements must not exchange what the image was built for.
PINNED = ("torch", "torchvision", "torchaudio", "triton", "xformers")


class InstallError(Exception):
    """This node cannot be installed; the message says why."""


def say(text: str) -> None:
    print(f"[comfy-node-install] {text}", file=sys.stderr, flush=True)  # noqa: T201


def main() -> int:
    parser = argparse.ArgumentParser(prog="comfy-node-install", description=__doc__)
    parser.add_argument("nodes", nargs="*", metavar="NODE")
    parser.add_argument("--file", type=Path, help="take nodes from this file too")
    arguments = parser.parse_args()
    nodes = [*arguments.nodes, *(listed(arguments.file) if arguments.file else ())]
    if not nodes and not arguments.file:
        parser.error("no node given")
    failed = {}
    for node in nodes:
        try:
            install(node)
        except InstallError as error:
            failed[node] = str(error)
            say(f"{node}: FAILED: {error}")
    if failed:
        say(f"{len(failed)} of {len(nodes)} failed: {', '.join(failed)}. Names: https://registry.comfy.org/")
    return 1 if failed else 0


def listed(file: Path) -> list[str]:
    """The nodes of a list: one a line, `#` begins a comment."""
    lines = (line.split("#", 1)[0].strip() for line in file.read_text().splitlines())
    return [line for line in lines if line]


def install(node: str) -> None:
    say(f"{node}: installing")
    is_url = "://" in node or node.startswith("git@")
    folder = clone(node) if is_url else unpack(node)
    requirements = folder / "requirements.txt"
    if requirements.exists():
        install_requirements(requirements)
    if (folder / "install.py").exists():
        run([COMFY_PYTHON, "install.py"], cwd=folder)
    if os.geteuid() == 0:  # nodes write into their own folder, as whoever ComfyUI runs as
        run(["chown", "-R", f"--reference={folder.parent}", str(folder)])
    say(f"{node}: installed in {folder}")


def clone(node: str) -> Path:
    """A git repository, at a tag, branch or commit when one is given."""
    url, ref = split_ref(node)
    folder = new_folder(url.rstrip("/").rsplit("/", 1)[-1].removesuffix(".git"))
    depth = [] if ref else ["--depth", "1"]
    run(["git", "clone", "--quiet", "--recursive", *depth, url, str(folder)])
    if ref:
        run(["git", "checkout", "--quiet", "--recurse-submodules", ref], cwd=folder)
    return folder


def split_ref(node: str) -> tuple[str, str]:
    """`url@ref` in two; an @ before the last slash (git@host, user@host) belongs to the address."""
    head, slash, tail = node.rpartition("/")
    name, _, ref = tail.partition("@")
    return head + slash + name, ref


def unpack(node: str) -> Path:
    """A package of the registry."""
    name, _, version = node.partition("@")
    query = f"?version={urllib.parse.quote(version)}" if version and version != "latest" else ""
    release = json.loads(fetch(f"{REGISTRY}/nodes/{urllib.parse.quote(name, safe='')}/install{query}"))
    address = release.get("downloadUrl")
    if not isinstance(address, str) or not address.startswith(("https://", REGISTRY)):
        raise InstallError("the registry names no download for it")
    folder = new_folder(name)
    with tempfile.TemporaryFile() as archive:
        archive.write(fetch(address))
        try:
            zipfile.ZipFile(archive).extractall(folder)
        except zipfile.BadZipFile as error:
            raise InstallError(f"its archive is damaged: {error}") from error
    return folder


def new_folder(name: str) -> Path:
    folder = COMFY_ROOT / "custom_nodes" / name
    if not name or folder.parent != COMFY_ROOT / "custom_nodes" or name in {".", ".."}:
        raise InstallError("this is no name of a node")
    if folder.exists():
        raise InstallError(f"{folder} exists already: remove it first to install another version")
    return folder


def fetch(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "comfyui-worker"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return bytes(answer.read())
    except OSError as error:
        raise InstallError(f"{url.split('?', maxsplit=1)[0]}: {error}") from error


def install_requirements(requirements: Path) -> None:
    pip = [uv, "pip"] if (uv := shutil.which("uv")) else [COMFY_PYTHON, "-m", "pip"]
    python = ["--python", COMFY_PYTHON] if uv else []
    frozen = run([*pip, "freeze", *python], capture=True).splitlines()
    pins = [line for line in frozen if line.split("==")[0].lower() in PINNED]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(pins))
        constraints.flush()
        run([*pip, "install", *python, "--constraint", constraints.name, "-r", str(requirements)])


def run(command: Sequence[str], *, cwd: Path | None = None, capture: bool = False) -> str:
    venv = str(Path(COMFY_PYTHON).parent.parent)
    environment = {**os.environ, "VIRTUAL_ENV": venv, "PATH": f"{venv}/bin:{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=cwd, env=environment, check=True, text=True, stdout=subprocess.PIPE if capture else None
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise InstallError(f"{' '.join(command[:4])} …: {error}") from error
    return done.stdout or ""


if __name__ == "__main__":
    sys.exit(main())
