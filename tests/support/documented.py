"""Answers held to the OpenAPI document: an operation may answer only with what it declares."""

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from api.openapi_file import document
from api.settings import Settings


@contextmanager
def documented_session() -> Iterator[requests.Session]:
    """A session whose requests fail when the worker answers with a status that its operation does not declare."""
    with requests.Session() as session:
        session.hooks["response"].append(check)
        yield session


def check(answer: requests.Response, **_options: Any) -> None:
    """Raises AssertionError."""
    path, method = unquote(urlsplit(answer.request.url or "").path), (answer.request.method or "").lower()
    for template, operations in _paths():
        if template.fullmatch(path) and method in operations:
            told = f"{method.upper()} {path} gives {answer.status_code}, which its operation does not declare"
            assert str(answer.status_code) in operations[method], told
            return


@functools.cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, set[str]]]]:
    """The paths of the document, those without parameters first, with the statuses of their methods."""
    paths = document(Settings())["paths"]
    return [
        (
            re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))),
            {method: set(operation["responses"]) for method, operation in operations.items()},
        )
        for path, operations in sorted(paths.items(), key=lambda item: "{" in item[0])
    ]
