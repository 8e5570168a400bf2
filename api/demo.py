"""`make demo`: one job through the real handler, told as it goes, its outputs written to a folder."""

import base64
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import logs, wiring
from .client_inputs import job_of
from .comfyui.client import ComfyClient
from .errors import ComfyError, ComfyNotStarted, ComfyUnreachable, InternalError, InvalidInput
from .jobs.cancel import CancelToken
from .jobs.events import JobEvent, NodeStarted, OutputProduced, ProgressMade, StageFinished
from .settings import Settings, load_settings

_HERE = Path(__file__).resolve().parent.parent
TEST_INPUT = _HERE / "test_input.json"
# Of what is no ComfyUI.
_SHOWN_CHARS = 200


def run(job_file: Path, out: Path) -> int:
    """Run the job on the ComfyUI at COMFY_HOST; where that is not set and none answers, on the stand-in.

    Returns the exit status. Raises ComfyError when none answers at a COMFY_HOST that is set.
    """
    job = read_job(job_file)
    settings = load_settings()
    logs.configure("warning", "console")
    with contextlib.ExitStack() as stack:
        try:
            _say(f"Using the ComfyUI at {_answering(settings)}")
        except ComfyError:
            if settings.model_fields_set & {"comfy_host", "comfyui_host"}:
                raise  # whoever names a ComfyUI wants that one
            url = stack.enter_context(_standin())
            _say(f"No ComfyUI answers at {settings.comfy_url}.")
            _say(f"Using the CPU STAND-IN at {url}: real pixels for plain image nodes, but no models and no GPU.")
            settings = settings.model_copy(update={"comfy_host": url})
        services = stack.enter_context(contextlib.closing(wiring.build(settings)))
        wiring.watch_pool(services)
        _say(f"Running {job_file.name} through the handler")
        result = services.handler(job, _tell, cancelled_by_signals())
    if "error" in result:
        _say(f"The job failed: {result['error']}")
        _say_details(result)
        return 1
    _write_outputs(result, out)
    return 0


def read_job(path: Path) -> Any:
    """The job in a file: `{"input": …}`, `{"workflow": …}` or a bare workflow, as the first of them.

    Raises InvalidInput when it cannot be read.
    """
    try:
        return job_of(json.loads(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not JSON: {error}.") from error


def cancelled_by_signals() -> CancelToken:
    """A token that Ctrl-C and SIGTERM set, so that the prompt is stopped as well."""
    token = CancelToken()
    for number in (signal.SIGINT, signal.SIGTERM):
        # In a thread: the interrupted one may hold the very lock that the cancel needs.
        signal.signal(number, lambda _signal, _frame: threading.Thread(target=token.cancel).start())
    return token


def _answering(settings: Settings) -> str:
    """The first ComfyUI that answers. Raises ComfyUnreachable, what became of each in it."""
    faults = []
    for address in settings.comfy_addresses:
        with contextlib.closing(ComfyClient(address.url, connect_timeout_s=1, read_timeout_s=5)) as client:
            try:
                client.queue_remaining()
            except ComfyUnreachable as error:
                faults.append(f"No ComfyUI answers at {address.url}. {error.message}")
            except ComfyError as error:
                told = error.message.partition("\n")[0][:_SHOWN_CHARS]
                faults.append(f"What answers at {address.url} is no ComfyUI. {told}")
            else:
                return address.url
    raise ComfyUnreachable("\n".join([*faults, "COMFY_HOST says where ComfyUI is."]))


@contextlib.contextmanager
def _standin() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="standin-") as folder,
        loopback("api.standin", "--base-directory", folder) as url,
    ):
        yield url


@contextlib.contextmanager
def loopback(module: str, *arguments: str) -> Iterator[str]:
    """The URL of a stand-in that runs as long as the block, on a free port. Raises ComfyNotStarted."""
    command = [sys.executable, "-m", module, "--port", "0", *arguments]
    process = subprocess.Popen(command, cwd=_HERE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        yield _listening_url(process)
    finally:
        process.terminate()
        process.communicate()


def _listening_url(process: "subprocess.Popen[str]") -> str:
    if process.stdout is None:
        raise InternalError("The stand-in was started without a pipe.")
    for line in process.stdout:
        if "listening on " in line:
            return line.rsplit("listening on ", 1)[1].strip()
    raise ComfyNotStarted("The stand-in ended before it was listening; its own words are above.")


def _tell(event: JobEvent) -> None:
    match event:
        case NodeStarted(node_id=node_id, class_type=class_type, title=title):
            _say(f"        node {node_id}: {title or class_type}")
        case ProgressMade(percent=percent, nodes_done=done, nodes_total=total):
            _say(f"  {percent:3.0f} %  ({done} of {total} nodes)")
        case OutputProduced(node_id=node_id, filename=filename):
            _say(f"        node {node_id} made {filename}")
        case StageFinished(stage=stage, seconds=seconds):
            _say(f"        {stage} took {seconds * 1000:.1f} ms")
        case _:
            pass


def _say_details(result: dict[str, Any]) -> None:
    """What they say beyond the error."""
    more = [
        {key: value for key, value in detail.items() if key != "message" or value not in result["error"]}
        for detail in result["details"]
    ]
    if any(more):
        _say(json.dumps([detail for detail in more if detail], indent=2, ensure_ascii=False))


def _write_outputs(result: dict[str, Any], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for entry in (entry for name in ("images", "videos", "audio", "files") for entry in result.get(name, [])):
        if entry["type"] != "base64":
            _say(f"{entry['filename']} is at {entry['data']}")
            continue
        path = out / Path(entry["filename"]).name
        path.write_bytes(base64.b64decode(entry["data"]))
        size = f", {entry['width']}×{entry['height']}" if "width" in entry else ""
        _say(f"Wrote {path} ({entry['mime_type']}{size}, {entry['size_bytes']:,} bytes)")
    for entry in result.get("text", []):
        _say(f"Text of node {entry['node_id']}: {entry['data']}")
    for error in result.get("errors", []):
        _say(f"Note: {error}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
