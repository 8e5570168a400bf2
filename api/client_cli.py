"""`python -m api.client`: submit workflows, watch and cancel jobs, fetch what they made.

Exit status: 0 done, 1 the job failed (or a workflow is not valid), 2 wrong usage, 3 the server does not answer,
4 the server refuses, 5 the wait is over and the job goes on (--wait-timeout), 130 interrupted.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from .client import Client
from .client_http import ClientError, DownloadFailed, Http, Refused, StillRunning, Unreachable
from .client_inputs import JobUnusable, Source, is_address
from .client_jobs import Job
from .client_runpod import BASE_URL, RunpodClient
from .client_terminal import ProgressLine, explaining

DONE, FAILED, USAGE, UNREACHABLE, REFUSED, STILL_RUNNING, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
AnyClient: TypeAlias = Client | RunpodClient


class UsageError(Exception):
    """The command line asks for something that cannot be."""


def main(argv: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Run one command; the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        with _client(arguments, environment) as client:
            status: int = arguments.command(client, arguments)
    except (UsageError, JobUnusable) as error:
        return _complain(str(error), USAGE)
    except Unreachable as error:
        return _complain(_absence(error, arguments, _address(arguments, environment)), UNREACHABLE)
    except Refused as error:
        return _complain(_refusal(error, arguments, _address(arguments, environment)), REFUSED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `… | head` has read enough
        sys.stderr.close()
        return DONE
    except StillRunning as error:
        return _complain(str(error), STILL_RUNNING)
    except (DownloadFailed, OSError) as error:
        return _complain(str(error), FAILED)
    return status


def _client(arguments: argparse.Namespace, environment: Mapping[str, str]) -> AnyClient:
    limits = {"timeout_s": arguments.timeout, "retries": arguments.retries}
    if arguments.runpod:
        key = arguments.api_key or environment.get("RUNPOD_API_KEY")
        return RunpodClient(arguments.runpod, key, base_url=_address(arguments, environment), **limits)
    url = _address(arguments, environment)
    if urlsplit(url).scheme not in {"http", "https"}:
        raise UsageError(f"--url must begin with http:// or https://, not {url!r}.")
    return Client(url, arguments.api_key or environment.get("COMFYUI_WORKER_API_KEY"), **limits)


def _address(arguments: argparse.Namespace, environment: Mapping[str, str]) -> str:
    if arguments.runpod:
        return arguments.url or BASE_URL
    return arguments.url or environment.get("COMFYUI_WORKER_URL") or "http://localhost:8000"


def _submit(client: AnyClient, arguments: argparse.Namespace) -> int:
    content = _read_job(arguments.workflow)
    images, overrides = dict(map(_image, arguments.image)), dict(map(_override, arguments.set))
    _make(arguments.out)
    options = {name: getattr(arguments, name) or None for name in ("priority", "gpu", "webhook", "idempotency_key")}
    job = client.submit_job(content, images, overrides, **options)
    if arguments.no_wait:
        print(job.job_id)
        return DONE
    print(f"job {job.job_id}", file=sys.stderr)
    return _follow(client, job.job_id, arguments)


def _make(folder: Path | None) -> None:
    """Now: a job is not to run for outputs that can go nowhere."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UsageError(f"--out {folder} cannot be written to: {error.strerror}.") from error


def _watch(client: AnyClient, arguments: argparse.Namespace) -> int:
    return _follow(client, arguments.job_id, arguments)


def _follow(client: AnyClient, job_id: str, arguments: argparse.Namespace) -> int:
    line = ProgressLine(sys.stderr)
    try:
        with explaining(line, lambda: client.why(job_id)):
            job = client.wait(job_id, arguments.wait_timeout, line.show)
    except KeyboardInterrupt:
        line.done()
        return _interrupted(client, job_id, arguments)
    except StillRunning as error:
        raise StillRunning(" ".join(filter(None, (str(error), client.why(job_id))))) from None
    finally:
        line.done()
    if not job.succeeded:
        print(f"job {job_id} is {job.status}" + (f": {job.error}" if job.error else ""), file=sys.stderr)
        return FAILED
    return _deliver(client, job, arguments)


def _interrupted(client: AnyClient, job_id: str, arguments: argparse.Namespace) -> int:
    if arguments.cancel_on_interrupt:
        print(_cancelled(client, job_id), file=sys.stderr)
    else:
        hint = f"to come back: … watch {job_id}; to stop it: … cancel {job_id}"
        print(f"job {job_id} goes on; {hint}", file=sys.stderr)
    return INTERRUPTED


def _deliver(client: AnyClient, job: Job, arguments: argparse.Namespace) -> int:
    if arguments.out is None:
        _print_json(job.result)
        return DONE
    for path in client.download(job, arguments.out):
        print(path)
    for warning in (job.result or {}).get("errors") or ():
        print(f"warning: {warning}", file=sys.stderr)
    return DONE


def _status(client: AnyClient, arguments: argparse.Namespace) -> int:
    job = client.status(arguments.job_id)
    if job.succeeded and arguments.out is not None:
        return _deliver(client, job, arguments)
    _print_json(job.raw)
    return FAILED if job.ended and not job.succeeded else DONE


def _cancel(client: AnyClient, arguments: argparse.Namespace) -> int:
    print(_cancelled(client, arguments.job_id))
    return DONE


def _cancelled(client: AnyClient, job_id: str) -> str:
    status = client.cancel(job_id).status
    return f"job {job_id} is {'being cancelled' if status == 'running' else status}"


def _list(client: AnyClient, arguments: argparse.Namespace) -> int:
    filters = {"status": arguments.status} if arguments.status else {}
    for job in client.list(limit=arguments.limit, **filters):
        print("\t".join((job.job_id, job.status, _local_time(job.raw.get("created_at")), job.error or "")).rstrip())
    return DONE


def _validate(client: AnyClient, arguments: argparse.Namespace) -> int:
    images, overrides = dict(map(_image, arguments.image)), dict(map(_override, arguments.set))
    report = client.validate_job(_read_job(arguments.workflow), images, overrides)
    _print_json(report)
    return DONE if report.get("ok") else FAILED


def _read_job(path: str) -> Any:
    """What a job file holds."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8-sig")
        return json.loads(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}.") from None


def _image(text: str) -> tuple[str, Source]:
    """`file`, or `name=file` where the workflow calls it otherwise; the file may be an address."""
    name, equals, source = text.partition("=")
    if not equals or is_address(text) or Path(text).is_file():
        name, source = "", text
    if is_address(source):
        return name or Path(urlsplit(source).path).name or "image", source
    if not Path(source).is_file():
        raise UsageError(f"--image {text}: there is no file {source}.")
    return name or Path(source).name, Path(source)


def _override(text: str) -> tuple[str, Any]:
    """`6.text=a cat`, `3.seed=7`: what reads as JSON is taken as that, the rest as text."""
    key, equals, value = text.partition("=")
    if not equals or "." not in key:
        raise UsageError(f'--set {text}: write NODE.INPUT=VALUE, as in 6.text="a cat".')
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _absence(error: Unreachable, arguments: argparse.Namespace, address: str) -> str:
    # What is fetched from elsewhere has its own address.
    if "connection refused" in str(error) and urlsplit(address).netloc in str(error):
        return f"{error} Say where the worker is with --url{'' if arguments.runpod else ' or COMFYUI_WORKER_URL'}."
    return str(error)


def _refusal(error: Refused, arguments: argparse.Namespace, address: str) -> str:
    if error.status in {404, 405} and not (error.code or arguments.runpod) and _is_comfyui(address):
        return f"{address} is ComfyUI itself: give --url or COMFYUI_WORKER_URL the address of the worker (port 8000)."
    lines = [str(error)]
    if error.status == 401:
        lines.append(f"  Give the key with --api-key or {'RUNPOD' if arguments.runpod else 'COMFYUI_WORKER'}_API_KEY.")
    for detail in error.details:
        text = str(detail.get("message") or "")
        near = detail.get("nearest")
        if text and text not in lines[0]:
            lines.append(f"  {text}" + (f" Nearest: {', '.join(map(str, near))}." if near else ""))
    return "\n".join(lines)


def _is_comfyui(address: str) -> bool:
    """Whether it answers what only ComfyUI is asked."""
    with contextlib.closing(Http(address, timeout_s=5.0, retries=0)) as http:
        try:
            return "comfyui_version" in http.json("GET", "system_stats")["system"]
        except (ClientError, TypeError, LookupError):
            return False


def _complain(text: str, status: int) -> int:
    print(text, file=sys.stderr)
    return status


def _local_time(seconds: Any) -> str:
    known = isinstance(seconds, int | float)
    return datetime.fromtimestamp(seconds, UTC).astimezone().isoformat(" ", "seconds") if known else ""


def _print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m api.client",
        description="Client of the ComfyUI worker.",
        epilog=(__doc__ or "").partition("\n\n")[2],
    )
    _connecting(parser, None)
    parser.add_argument("--runpod", metavar="ENDPOINT_ID", help="an endpoint on RunPod instead of a worker of your own")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="S", help="seconds one answer may take")
    parser.add_argument("--retries", type=int, default=4, metavar="N", help="how often a request is repeated")
    commands = parser.add_subparsers(required=True, metavar="command")

    submit = _job_command(commands, "submit", _submit, "run a workflow and fetch its outputs")
    submit.add_argument("--priority", choices=("low", "normal", "high"))
    submit.add_argument("--gpu", metavar="PLACE", help="where to run it: local, a remote target or a ComfyUI's label")
    submit.add_argument("--webhook", metavar="URL", help="told when the job has ended")
    submit.add_argument("--idempotency-key", metavar="KEY", help="the same key is the same job, not a second one")
    submit.add_argument("--no-wait", action="store_true", help="print the job's id and return")
    _following(submit)

    watch = _command(commands, "watch", _watch, "follow a job to its end", "job_id")
    _following(watch)
    status = _command(commands, "status", _status, "print a job as JSON", "job_id")
    status.add_argument("--out", type=Path, metavar="DIR", help="fetch its outputs if it has ended")
    _command(commands, "cancel", _cancel, "stop a job", "job_id")
    jobs = _command(commands, "list", _list, "id, status, time of submit and error of the newest jobs")
    jobs.add_argument("--status", help="only these")
    jobs.add_argument("--limit", type=int, default=20)
    _command(commands, "stats", lambda client, _: _printed(client.stats()), "counts of jobs")
    _command(commands, "health", lambda client, _: _printed(client.health()), "how the worker is doing")
    _job_command(commands, "validate", _validate, "tell whether a workflow would run, without running it")
    return parser


def _printed(content: Any) -> int:
    _print_json(content)
    return DONE


def _command(commands: Any, name: str, run: Any, text: str, *positional: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text)
    _connecting(command, argparse.SUPPRESS)  # what was said before the command stays when nothing is said behind it
    for argument in positional:
        command.add_argument(argument)
    command.set_defaults(command=run)
    return command


def _connecting(parser: argparse.ArgumentParser, default: str | None) -> None:
    address = "address of the worker (COMFYUI_WORKER_URL, else http://localhost:8000)"
    parser.add_argument("--url", default=default, help=address)
    key = "better given as COMFYUI_WORKER_API_KEY (RUNPOD_API_KEY with --runpod)"
    parser.add_argument("--api-key", default=default, help=key)


def _job_command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    command = _command(commands, name, run, text)
    command.add_argument("workflow", help='API format, or a job {"workflow": …} or {"input": …}; - for standard input')
    command.add_argument(
        "--image", action="append", default=[], metavar="[NAME=]FILE", help="an input file, or its URL"
    )
    command.add_argument("--set", action="append", default=[], metavar="NODE.INPUT=VALUE", help="change an input")
    return command


def _following(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, metavar="DIR", help="fetch the outputs into it (else print the result)")
    command.add_argument("--wait-timeout", type=float, metavar="S", help="give up waiting; the job goes on")
    command.add_argument("--cancel-on-interrupt", action="store_true", help="Ctrl-C stops the job too")
