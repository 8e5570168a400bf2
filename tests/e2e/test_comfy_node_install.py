"""comfy-node-install on a real git repository and a registry of its own: into the right folder, with a true status."""

import http.server
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "comfy_node_install.py"
pytestmark = pytest.mark.e2e


class Registry(http.server.BaseHTTPRequestHandler):
    """Knows one node, my-node."""

    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        if self.path.startswith("/nodes/my-node/install"):
            url = f"http://127.0.0.1:{self.server.server_address[1]}/my-node.zip"
            self.reply(json.dumps({"version": "1.0.0", "downloadUrl": url}).encode())
        elif self.path == "/my-node.zip":
            archive = io.BytesIO()
            with zipfile.ZipFile(archive, "w") as zipped:
                zipped.writestr("__init__.py", "NODE_CLASS_MAPPINGS = {}\n")
                zipped.writestr("install.py", "import sys; open('installed_by', 'w').write(sys.executable)\n")
            self.reply(archive.getvalue())
        else:
            self.send_error(404)

    def reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    Registry.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def install(comfy_root: Path, *nodes: str, registry: str = "http://127.0.0.1:9") -> subprocess.CompletedProcess[str]:
    (comfy_root / "custom_nodes").mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "COMFY_ROOT": str(comfy_root),
        "COMFY_PYTHON": sys.executable,
        "COMFY_REGISTRY_URL": registry,
    }
    return subprocess.run(
        [sys.executable, SCRIPT, *nodes], env=environment, capture_output=True, text=True, check=False
    )


def repository(folder: Path, **files: str) -> str:
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("_py", ".py").replace("_txt", ".txt")).write_text(text)
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "node"], ["tag", "v1"]):
        subprocess.run([*git, *arguments], check=True)
    return f"file://{folder}"


def test_a_node_of_the_registry(tmp_path: Path, registry: str) -> None:
    done = install(tmp_path, "my-node@1.0.0", registry=registry)

    assert done.returncode == 0, done.stderr
    node = tmp_path / "custom_nodes" / "my-node"
    assert (node / "__init__.py").exists()
    assert (node / "installed_by").read_text() == sys.executable
    assert Registry.asked == ["/nodes/my-node/install?version=1.0.0", "/my-node.zip"]


def test_a_git_repository_at_a_tag(tmp_path: Path) -> None:
    url = repository(tmp_path / "repo.git", init_py="")

    done = install(tmp_path / "comfyui", f"{url}@v1")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "comfyui" / "custom_nodes" / "repo" / "init.py").exists()


def test_one_failure_fails_the_whole_and_is_named(tmp_path: Path, registry: str) -> None:
    broken = repository(tmp_path / "broken", install_py="raise SystemExit(3)")

    done = install(tmp_path / "comfyui", broken, "unknown-node", "my-node", registry=registry)

    assert done.returncode == 1
    assert f"2 of 3 failed: {broken}, unknown-node" in done.stderr
    assert (tmp_path / "comfyui" / "custom_nodes" / "my-node").exists()


def test_requirements_that_cannot_be_had_are_a_failure(tmp_path: Path) -> None:
    url = repository(tmp_path / "repo", requirements_txt="./there-is-no-such-folder\n")

    done = install(tmp_path / "comfyui", url)

    assert done.returncode == 1
    assert "FAILED" in done.stderr


def test_a_list_of_nodes(tmp_path: Path, registry: str) -> None:
    listed = tmp_path / "custom_nodes.txt"
    listed.write_text("# comment\n\nmy-node  # why\n")

    done = install(tmp_path, "--file", str(listed), registry=registry)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "custom_nodes" / "my-node").exists()
    listed.write_text("# nothing\n")
    assert install(tmp_path, "--file", str(listed)).returncode == 0
    assert install(tmp_path).returncode == 2


@pytest.mark.parametrize("name", ["../evil", "..", ""])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, registry: str, name: str) -> None:
    assert install(tmp_path, name, registry=registry).returncode == 1
