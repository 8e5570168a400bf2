"""The body of a submit: a job in any of its forms and its input files, inline, by address or uploaded beforehand."""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Source = str | bytes | Path
_ADDRESSES = ("http", "https", "s3", "data", "upload")
# What a body of /run says it is to run; a workflow by itself has nodes under all its keys.
_NAMES_WORK = ("workflow", "prompt", "workflow_name", "deployment")
# Beside `input`, what RunPod has no words for: there it would be ignored.
_OWN_WORDS = ("priority", "ttl_s", "labels")


class JobUnusable(ValueError):
    """What is given as a job is none."""


def is_address(source: Source) -> bool:
    """Whether the worker is to fetch it itself (or has it in its text, as with data:)."""
    return isinstance(source, str) and urlsplit(source[:100]).scheme in _ADDRESSES


def image_entries(
    images: Mapping[str, Source], upload: Callable[[Source], str] | None, inline_limit_bytes: int
) -> list[dict[str, str]]:
    """`[{"name", "image"}]`; files over `inline_limit_bytes` go through `upload`, which gives their reference."""
    return [{"name": name, "image": _encoded(source, upload, inline_limit_bytes)} for name, source in images.items()]


def size_of(source: Source) -> int:
    """Bytes. Raises OSError for a file that is not there."""
    return len(source) if isinstance(source, bytes) else Path(source).stat().st_size


def body(
    workflow: Mapping[str, Any],
    images: list[dict[str, str]],
    overrides: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """The input of a job; what is empty is left out."""
    given = {"workflow": workflow, "images": images, "overrides": overrides, **options}
    return {key: value for key, value in given.items() if value not in (None, [], {})}


def job_of(content: Any) -> dict[str, Any]:
    """`{"input": {…}, …}` of a job in any form: that one, the worker's own body of /run, or a workflow by itself."""
    if not isinstance(content, dict):
        return {"input": {"workflow": content}}
    names_work = any(name in content and not _is_node(content[name]) for name in _NAMES_WORK)
    if "input" in content and not _is_node(content["input"]) and (content["input"] is not None or not names_work):
        return content
    if names_work:
        return {"input": {key: value for key, value in content.items() if key != "input"}}
    return {"input": {"workflow": content}}


def completed(
    content: Any, images: list[dict[str, str]], overrides: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The input of such a job, and what stands beside it; what is given here goes before what it says itself.

    Raises JobUnusable.
    """
    job = job_of(content)
    given, beside = _input(job["input"]), {key: value for key, value in job.items() if key != "input"}
    if images:
        names = {image["name"] for image in images}
        kept = _part(given, "images", list)
        given["images"] = [*(entry for entry in kept if _name(entry) not in names), *images]
    if overrides:
        given["overrides"] = {**_part(given, "overrides", dict), **overrides}
    for name, value in options.items():
        if value is not None:
            (beside if beside and name != "gpu" else given)[name] = value
    return given, beside


def own_or_runpods(given: Mapping[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    """A body of /run: in RunPod's form, or in the worker's own if nothing of that form is there or it lacks words."""
    if beside and not any(name in beside for name in _OWN_WORDS):
        return {"input": given, **beside}
    rest = {key: value for key, value in beside.items() if key not in {"policy", "s3Config"}}
    meant = _of_policy(beside.get("policy"), given.get("timeout_s"))
    meant["s3"] = given.get("s3") or beside.get("s3Config")
    return {**given, **{key: value for key, value in meant.items() if value is not None}, **rest}


def without_contents(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same input with `images` that are but their names."""
    images = given.get("images")
    if not isinstance(images, list):
        return dict(given)
    return {**given, "images": [{**image, "image": "AA=="} if isinstance(image, dict) else image for image in images]}


def _of_policy(policy: Any, timeout_s: Any) -> dict[str, Any]:
    """RunPod's policy, whose times are in ms, in the worker's own words."""
    if policy is None:
        return {}
    if not isinstance(policy, dict):
        raise JobUnusable("policy of the job must be an object.")
    limits = [timeout_s, _seconds(policy.get("executionTimeout"))]
    return {
        "priority": "low" if policy.get("lowPriority") else None,
        "ttl_s": _seconds(policy.get("ttl")),
        "timeout_s": min((limit for limit in limits if isinstance(limit, int | float)), default=None),
    }


def _seconds(milliseconds: Any) -> float | None:
    return milliseconds / 1000 if isinstance(milliseconds, int | float) and milliseconds else None


def _input(given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            raise JobUnusable("input of the job is text that is not JSON.") from None
    if not isinstance(given, dict):
        raise JobUnusable("input of the job must be an object.")
    return dict(given)


def _part(given: Mapping[str, Any], name: str, kind: type) -> Any:
    """What the job says itself, of the kind that more can be added to."""
    value = given.get(name)
    if value is not None and not isinstance(value, kind):
        form = '{"NODE.INPUT": value}' if kind is dict else 'a list of {"name": …, "image": …}'
        raise JobUnusable(f"{name} of the job must be {form}.")
    return value or kind()


def _name(entry: Any) -> Any:
    return entry.get("name") if isinstance(entry, dict) else None


def _is_node(value: Any) -> bool:
    return isinstance(value, dict) and "class_type" in value


def _encoded(source: Source, upload: Callable[[Source], str] | None, inline_limit_bytes: int) -> str:
    if isinstance(source, str) and is_address(source):
        return source
    if upload and size_of(source) > inline_limit_bytes:
        return upload(source)
    return base64.b64encode(source if isinstance(source, bytes) else Path(source).read_bytes()).decode()
