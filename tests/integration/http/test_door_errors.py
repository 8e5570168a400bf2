"""Every failure has one shape, whatever failed and whoever asks."""

import json
import socket
from collections.abc import Iterator
from http import HTTPStatus

import pytest
import requests
from support.door_app import door_app
from support.http_server import HttpServer

from api.routes.auth import Guard

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def door() -> Iterator[HttpServer]:
    origins = ("https://app.example",)
    with HttpServer(door_app(cors_origins=origins, guard=Guard(allowed_origins=origins))) as server:
        yield server


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "NOT_FOUND"),
        ("GET", "/jobs/gone", 404, "JOB_NOT_FOUND"),
        ("GET", "/jobs/1/", 404, "NOT_FOUND"),
        ("PUT", "/jobs/1", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/page?limit=0", 422, "INVALID_PARAMETERS"),
        ("POST", "/echo", 400, "INVALID_INPUT"),
        ("GET", "/fail/full", 429, "QUEUE_FULL"),
        ("GET", "/fail/disk", 507, "STORAGE_FULL"),
    ],
)
def test_one_envelope(door: HttpServer, method: str, path: str, status: int, code: str) -> None:
    answer = requests.request(method, door.url + path, timeout=5)
    body = answer.json()
    assert (answer.status_code, body["statusCode"], body["code"]) == (status, status, code)
    assert body["error"] == HTTPStatus(status).phrase
    assert sorted(body) == ["code", "details", "error", "message", "statusCode"]
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Request-ID"]


def test_the_error_is_the_reason_phrase(door: HttpServer) -> None:
    assert requests.get(f"{door.url}/jobs/gone", timeout=5).json() == {
        "error": "Not Found",
        "message": "There is no job gone.",
        "statusCode": 404,
        "code": "JOB_NOT_FOUND",
        "details": [],
    }


def test_a_mistake_of_ours_tells_nothing_but_the_request_id(door: HttpServer) -> None:
    answer = requests.get(f"{door.url}/fail/odd", headers={"Origin": "https://app.example"}, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
    assert answer.headers["X-Request-ID"] in answer.json()["message"]
    assert "secret" not in answer.text
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"


@pytest.mark.parametrize("path", ["/v2/x/status/gone", "/fail/runpod"])
def test_runpod_callers_find_the_message_in_error(door: HttpServer, path: str) -> None:
    body = requests.get(door.url + path, timeout=5).json()
    assert body["error"] == body["message"] == "There is no job gone."
    assert body["statusCode"] == 404


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (PROBLEM, PROBLEM),
        (f"{PROBLEM}, application/json;q=0.9", PROBLEM),
        (f"{PROBLEM};q=0.5, application/json", "application/json"),
        (f"application/json, {PROBLEM}", "application/json"),
        (f"{PROBLEM}, */*;q=0.8", PROBLEM),
        (f"{PROBLEM};q=high, */*;q=0.1", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
    ],
)
def test_problem_json_for_those_who_prefer_it(door: HttpServer, accept: str, kind: str) -> None:
    answer = requests.get(f"{door.url}/jobs/gone", headers={"Accept": accept}, timeout=5)
    assert answer.headers["Content-Type"] == kind
    if kind == PROBLEM:
        assert answer.json() == {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "There is no job gone.",
            "instance": "/jobs/gone",
            "code": "JOB_NOT_FOUND",
            "details": [],
        }


def test_retry_after_is_given_where_it_is_known(door: HttpServer) -> None:
    assert requests.get(f"{door.url}/fail/full", timeout=5).headers["Retry-After"] == "7"
    assert requests.get(f"{door.url}/fail/stopping", timeout=5).headers["Retry-After"] == "5"
    assert "Retry-After" not in requests.get(f"{door.url}/fail/disk", timeout=5).headers


def test_wrong_parameters_are_named(door: HttpServer) -> None:
    (detail,) = requests.get(f"{door.url}/page?limit=0", timeout=5).json()["details"]
    assert detail["field"] == "query.limit"
    assert "greater than or equal to 1" in detail["message"]


def test_allow_lists_the_methods_of_all_routes_of_the_path(door: HttpServer) -> None:
    refused = requests.put(f"{door.url}/jobs/1", timeout=5)
    assert refused.headers["Allow"] == "GET, HEAD, DELETE, OPTIONS"
    asked = requests.options(f"{door.url}/jobs/1", timeout=5)
    assert (asked.status_code, asked.headers["Allow"], asked.text) == (204, "GET, HEAD, DELETE, OPTIONS", "")


def test_head_is_get_without_the_body(door: HttpServer) -> None:
    full = requests.get(f"{door.url}/jobs/1", timeout=5)
    head = requests.head(f"{door.url}/jobs/1", timeout=5)
    assert (head.status_code, head.headers["Content-Length"], head.text) == (200, str(len(full.content)), "")
    assert requests.head(f"{door.url}/jobs/gone", timeout=5).status_code == 404
    assert requests.head(f"{door.url}/echo", timeout=5).status_code == 405


def test_head_of_an_endless_answer_ends(door: HttpServer) -> None:
    with requests.Session() as session:
        assert session.head(f"{door.url}/stream", timeout=5).status_code == 200
        assert session.get(f"{door.url}/jobs/1", timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        ("abc-123_X.y", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("with space", False),
        ("semi;colon", False),
        ("", False),
    ],
)
def test_a_sane_request_id_is_kept(door: HttpServer, given: str, is_kept: bool) -> None:
    echoed = requests.get(f"{door.url}/livez", headers={"X-Request-ID": given}, timeout=5).headers["X-Request-ID"]
    assert (echoed == given) is is_kept
    assert echoed


def test_every_answer_has_its_own_request_id_on_one_connection(door: HttpServer) -> None:
    with requests.Session() as session:
        numbers = {session.get(f"{door.url}/livez", timeout=5).headers["X-Request-ID"] for _ in range(5)}
    assert len(numbers) == 5


def test_nobody_is_told_which_server_this_is(door: HttpServer) -> None:
    assert "Server" not in requests.get(f"{door.url}/livez", timeout=5).headers


def test_a_path_that_is_no_text_is_answered_in_the_same_shape(door: HttpServer) -> None:
    with socket.create_connection(("127.0.0.1", door.port), timeout=5) as raw:
        raw.sendall(b"GET /%ed%a0%80%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, body = raw.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert json.loads(body)["code"] == "NOT_FOUND"


def test_cors_lets_named_sites_in_only(door: HttpServer) -> None:
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "DELETE"}
    preflight = requests.options(f"{door.url}/jobs/1", headers=asked, timeout=5)
    assert preflight.status_code == 200
    assert "DELETE" in preflight.headers["Access-Control-Allow-Methods"]
    answer = requests.get(f"{door.url}/jobs/gone", headers={"Origin": "https://app.example"}, timeout=5)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
    other = requests.get(f"{door.url}/jobs/1", headers={"Origin": "https://evil.example"}, timeout=5)
    assert "Access-Control-Allow-Origin" not in other.headers


def test_a_refused_preflight_is_an_error_like_all_others(door: HttpServer) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "TRACE"}
    refused = requests.options(f"{door.url}/jobs/1", headers=asked, timeout=5)
    assert (refused.status_code, refused.headers["Content-Type"]) == (400, "application/json")
    assert refused.json() == {
        "error": "Bad Request",
        "message": "Disallowed CORS origin, method: CORS_ORIGINS names the sites whose pages may ask.",
        "statusCode": 400,
        "code": "BAD_REQUEST",
        "details": [],
    }
    assert "Access-Control-Allow-Origin" not in refused.headers
    assert "DELETE" in refused.headers["Access-Control-Allow-Methods"]
    assert refused.headers["Vary"].startswith("Origin")
    allowed = {**asked, "Origin": "https://app.example"}
    known = requests.options(f"{door.url}/v2/a/status/1", headers=allowed, timeout=5)
    assert known.status_code == 400
    assert known.json()["error"].startswith("Disallowed CORS method:")
    assert known.headers["Access-Control-Allow-Origin"] == "https://app.example"


def test_runpods_paths_without_its_prefix_are_told_where_they_are(door: HttpServer) -> None:
    lost = requests.post(f"{door.url}/cancel/1", timeout=5)
    assert lost.status_code == 404
    assert lost.json()["message"] == (
        "There is no path /cancel/1; RunPod's API is below /v2/{endpoint_id}: /v2/{endpoint_id}/cancel/1."
    )
