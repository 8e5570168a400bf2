"""Who gets in: keys in every spelling, the operator's key, signed links, pages of other sites."""

import time
from collections.abc import Iterator

import pytest
import requests
from support.door_app import door_app
from support.http_server import HttpServer
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from api.routes.auth import OPEN_PATHS, Guard

GUARD = Guard(["sk-one", "sk-two"], "sk-admin")


@pytest.fixture(scope="module")
def door() -> Iterator[HttpServer]:
    with HttpServer(door_app(guard=GUARD)) as server:
        yield server


@pytest.fixture(scope="module")
def open_door() -> Iterator[HttpServer]:
    with HttpServer(door_app(guard=Guard(allowed_origins=["https://app.example"]))) as server:
        yield server


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "sk-one"},
        {"X-API-Key": "sk-two"},
        {"Authorization": "Bearer sk-one"},
        {"Authorization": "bearer sk-two"},
        {"Authorization": "sk-one"},
        {"Authorization": "Basic something", "X-API-Key": "sk-one"},
        {"X-API-Key": "sk-admin"},
    ],
)
def test_a_key_opens_in_every_spelling(door: HttpServer, headers: dict[str, str]) -> None:
    assert requests.get(f"{door.url}/jobs/1", headers=headers, timeout=5).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "sk-on"},
        {"X-API-Key": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer sk-three"},
        {"Authorization": "Basic sk-one"},
        {"X-API-Key": "sk-one,sk-two"},
        {"Cookie": "X-API-Key=sk-one"},
    ],
)
@pytest.mark.parametrize("path", ["/jobs/1", "/nothing/here", "/livez/", "//livez", "/docs/x"])
def test_nothing_else_opens(door: HttpServer, headers: dict[str, str], path: str) -> None:
    answer = requests.get(door.url + path, headers=headers, timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_runpod_clients_get_their_word(door: HttpServer) -> None:
    answer = requests.post(f"{door.url}/v2/x/echo", json={}, headers={"Authorization": "Bearer no"}, timeout=5)
    body = answer.json()
    assert (answer.status_code, body["error"], body["statusCode"]) == (401, "Unauthorized", 401)


@pytest.mark.parametrize("path", sorted(OPEN_PATHS - {"/metrics"}))
def test_probes_and_docs_need_no_key(door: HttpServer, path: str) -> None:
    assert requests.get(door.url + path, timeout=5).status_code == 200


@pytest.mark.parametrize("path", ["/admin/thing", "/stats"])
def test_operators_paths_need_the_operators_key(door: HttpServer, path: str) -> None:
    def ask(**headers: str) -> int:
        return requests.get(door.url + path, headers=headers, timeout=5).status_code

    assert ask(Authorization="Bearer sk-admin") == 200
    assert ask(Authorization="Bearer sk-one") == 403
    assert ask(Authorization="Bearer wrong") == 401
    assert ask() == 401


def test_without_an_operators_key_the_others_open_all() -> None:
    with HttpServer(door_app(guard=Guard(["sk-one"]))) as server:
        assert requests.get(f"{server.url}/stats", headers={"X-API-Key": "sk-one"}, timeout=5).status_code == 200
        assert requests.get(f"{server.url}/stats", timeout=5).status_code == 401


def test_the_operators_key_alone_leaves_the_rest_open() -> None:
    with HttpServer(door_app(guard=Guard(admin_key="sk-admin"))) as server:
        assert requests.get(f"{server.url}/jobs/1", timeout=5).status_code == 200
        assert requests.get(f"{server.url}/stats", timeout=5).status_code == 401


def test_callers_are_told_apart_and_keys_not_shown(door: HttpServer) -> None:
    names = [
        requests.post(f"{door.url}/echo", json={}, headers={"X-API-Key": key}, timeout=5).json()["caller"]
        for key in ("sk-one", "sk-one", "sk-two")
    ]
    assert names[0] == names[1] != names[2]
    assert "sk-" not in "".join(names)


def test_a_signed_link_opens_its_own_path_until_it_expires(door: HttpServer) -> None:
    token = GUARD.sign("/jobs/ä b", time.time() + 60)
    assert token is not None
    assert requests.get(f"{door.url}/jobs/%C3%A4%20b", params={"token": token}, timeout=5).status_code == 200
    assert requests.get(f"{door.url}/jobs/other", params={"token": token}, timeout=5).status_code == 401
    assert requests.delete(f"{door.url}/jobs/%C3%A4%20b", params={"token": token}, timeout=5).status_code == 401
    old = GUARD.sign("/jobs/ä b", time.time() - 1)
    assert requests.get(f"{door.url}/jobs/%C3%A4%20b", params={"token": old}, timeout=5).status_code == 401


def test_a_signed_link_opens_no_operators_path(door: HttpServer) -> None:
    token = GUARD.sign("/stats", time.time() + 60)
    assert requests.get(f"{door.url}/stats", params={"token": token}, timeout=5).status_code == 401


def test_web_sockets_pass_the_same_door(door: HttpServer) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"{door.ws_url}/socket"):
        pass
    assert refused.value.response.status_code == 401
    assert b'"UNAUTHORIZED"' in (refused.value.response.body or b"")
    token = GUARD.sign("/socket", time.time() + 60)
    with connect(f"{door.ws_url}/socket?token={token}") as socket:
        assert socket.recv() == "link"


def test_a_web_socket_that_fails_is_closed_with_the_reason(door: HttpServer) -> None:
    with connect(f"{door.ws_url}/socket", additional_headers={"X-API-Key": "sk-one"}) as socket:
        socket.recv()
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1011, "INTERNAL_ERROR")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "https://app.example"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://behind.proxy", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://behind.proxy", "X-Forwarded-Host": "behind.proxy"}, 200),
        ({"Origin": "https://behind.proxy:81", "Host": "behind.proxy"}, 200),
        ({"Origin": "http://behind.lan", "Host": "BEHIND.lan:80"}, 200),
        # It may be anybody's, whom DNS has led here; whatever else is said, and whatever the port.
        ({"Origin": "http://behind.proxy", "Host": "behind.proxy"}, 403),
        ({"Origin": "http://behind.proxy:9000", "Host": "behind.proxy:9000", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Origin": "http://behind.proxy", "Host": "behind.proxy", "X-Forwarded-Host": "behind.proxy"}, 403),
        ({"Origin": "http://evil.example", "X-Forwarded-Host": "behind.proxy"}, 403),
        ({"Origin": "http://behind.proxy:81", "Host": "behind.proxy:82"}, 403),
    ],
)
def test_pages_of_other_sites_start_no_jobs_where_no_key_is_needed(
    open_door: HttpServer, headers: dict[str, str], status: int
) -> None:
    assert requests.post(f"{open_door.url}/echo", json={}, headers=headers, timeout=5).status_code == status


def test_pages_of_other_sites_open_no_web_socket_where_no_key_is_needed(open_door: HttpServer) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"{open_door.ws_url}/socket", origin="https://evil.example"):  # type: ignore[arg-type]
        pass
    assert refused.value.response.status_code == 403


def test_own_pages_may(open_door: HttpServer) -> None:
    answer = requests.post(f"{open_door.url}/echo", json={}, headers={"Origin": open_door.url}, timeout=5)
    assert answer.status_code == 200


def test_a_link_that_never_ends_is_no_link(door: HttpServer) -> None:
    answer = requests.get(f"{door.url}/jobs/1?token={'9' * 5000}.a", timeout=5)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example:{port}", 403),
        ("evil.example.:{port}", 403),
        ("127.0.0.1.evil.example:{port}", 403),
        ("127.0.0.1:{port}", 200),
        ("[::1]:{port}", 200),
        ("LOCALHOST:{port}", 200),
        ("gpu-box:{port}", 200),
        ("gpu-box.local:{port}", 200),
        ("comfy.behind.proxy", 200),
    ],
)
def test_no_name_of_a_stranger_leads_to_loopback_where_no_key_is_needed(
    open_door: HttpServer, door: HttpServer, host: str, status: int
) -> None:
    def ask(server: HttpServer, **headers: str) -> int:
        headers["Host"] = host.format(port=server.port)
        return requests.get(f"{server.url}/jobs/1", headers=headers, timeout=5).status_code

    assert ask(open_door) == status
    assert ask(door, **{"X-API-Key": "sk-one"}) == 200


def test_a_page_of_another_site_reads_nothing_where_no_key_is_needed(open_door: HttpServer) -> None:
    answer = requests.get(f"{open_door.url}/jobs/1", headers={"Origin": "http://localhost:3000"}, timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
