"""The rate limit: per key, per address, and never for probes."""

import requests
from support.door_app import door_app
from support.http_server import HttpServer

from api.routes.auth import Guard
from api.routes.limits import Rate


def test_beyond_the_limit_callers_are_told_when_to_come_back() -> None:
    with HttpServer(door_app(rates=[Rate("2/minute")])) as server:
        answers = [requests.get(f"{server.url}/jobs/1", timeout=5) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["RateLimit-Policy"] for answer in answers] == ['"default";q=2;w=60'] * 3
    assert [answer.headers["RateLimit"].split(";")[1] for answer in answers] == ["r=1", "r=0", "r=0"]
    last = answers[-1]
    assert last.json()["code"] == "RATE_LIMITED"
    assert 50 <= int(last.headers["Retry-After"]) <= 60
    assert last.headers["RateLimit"] == f'"default";r=0;t={last.headers["Retry-After"]}'
    assert last.headers["X-Request-ID"]


def test_the_problem_has_its_registered_type() -> None:
    with HttpServer(door_app(rates=[Rate("1/hour")])) as server:
        requests.get(f"{server.url}/jobs/1", timeout=5)
        answer = requests.get(f"{server.url}/jobs/1", headers={"Accept": "application/problem+json"}, timeout=5)
    assert answer.json()["type"].endswith("#quota-exceeded")


def test_probes_and_docs_are_free() -> None:
    with HttpServer(door_app(rates=[Rate("1/hour")])) as server:
        for path in ("/livez", "/readyz", "/health", "/docs", "/openapi.json", "/"):
            answers = [requests.get(server.url + path, timeout=5) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 200]
            assert "RateLimit" not in answers[0].headers


def test_each_key_has_its_own_and_wrong_keys_share_that_of_the_address() -> None:
    with HttpServer(door_app(guard=Guard(["one", "two"]), rates=[Rate("1/hour")])) as server:

        def ask(key: str) -> int:
            return requests.get(f"{server.url}/jobs/1", headers={"X-API-Key": key}, timeout=5).status_code

        assert [ask("one"), ask("one"), ask("two")] == [200, 429, 200]
        # Guessing keys is limited as well.
        assert [ask("guess-1"), ask("guess-2")] == [401, 429]


def test_forwarded_addresses_count_from_configured_proxies_only() -> None:
    def codes(*proxies: str) -> list[int]:
        with HttpServer(door_app(rates=[Rate("1/hour")]), forwarded_allow_ips=proxies) as server:
            return [
                requests.get(f"{server.url}/jobs/1", headers={"X-Forwarded-For": address}, timeout=5).status_code
                for address in ("203.0.113.1", "203.0.113.2")
            ]

    assert codes("127.0.0.1") == [200, 200]
    assert codes("192.0.2.1") == [200, 429]
    assert codes() == [200, 429]


def test_none_by_default() -> None:
    with HttpServer(door_app()) as server:
        assert "RateLimit" not in requests.get(f"{server.url}/jobs/1", timeout=5).headers


def test_a_prefix_has_a_limit_of_its_own_for_each_address_whatever_the_key() -> None:
    rates = [Rate("1/hour", "/jobs", per_address=True), Rate("3/hour")]
    with HttpServer(door_app(guard=Guard(["one", "two"]), rates=rates)) as server:

        def status(path: str, key: str) -> int:
            return requests.get(server.url + path, headers={"X-API-Key": key}, timeout=5).status_code

        assert [status("/jobs/1", "one"), status("/jobs/1", "two")] == [200, 429]
        assert [status("/page", "one") for _ in range(4)] == [200, 200, 200, 429]
        assert status("/page", "two") == 200


def test_a_prefix_is_one_of_whole_names() -> None:
    with HttpServer(door_app(rates=[Rate("1/hour", "/pag")])) as server:
        assert [requests.get(f"{server.url}/page", timeout=5).status_code for _ in range(2)] == [200, 200]
