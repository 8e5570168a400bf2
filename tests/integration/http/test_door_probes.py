"""Probes answer whatever happens behind them."""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
import requests
from support.door_app import door_app
from support.http_server import HttpServer

from api.errors import StoreUnavailable
from api.routes.auth import Guard
from api.routes.probes import HealthFacts, Probes

FAR = {"name": "far", "status": "healthy", "kind": "runpod", "breaker": "closed"}
FACTS = HealthFacts(
    database_path="/data/jobs.db",
    job_stats={"pending": 2, "running": 1, "completed": 15, "failed": 1, "total": 19},
    comfyui_instances=[
        {"name": "127.0.0.1:8188", "status": "healthy"},
        {"name": "127.0.0.1:8189", "status": "unhealthy", "reason": "It does not answer."},
    ],
    job_processing={"processor_running": True, "active_jobs": 1},
    remote_targets=[FAR],
)


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What blocked callables wait for; set at the end, so that their threads go."""
    event = threading.Event()
    yield event
    event.set()


def unavailable() -> HealthFacts:
    raise StoreUnavailable("The database is locked.")


def test_ready_when_all_checks_pass() -> None:
    probes = Probes("1.2.3", checks={"store": lambda: None, "comfyui": lambda: None})
    with HttpServer(door_app(probes=probes)) as server:
        plain = requests.get(f"{server.url}/readyz", timeout=5)
        verbose = requests.get(f"{server.url}/readyz?verbose", timeout=5)
    assert (plain.status_code, plain.json()) == (200, {"status": "ready"})
    assert verbose.json() == {"status": "ready", "checks": {"store": "ok", "comfyui": "ok"}}


def test_not_ready_says_why(never: threading.Event) -> None:
    def locked() -> None:
        raise StoreUnavailable("The database is locked.")

    checks = {
        "store": locked,
        "comfyui": lambda: "no instance answers",
        "serving": lambda: None,
        "disk": lambda: str(never.wait()),
    }
    with HttpServer(door_app(probes=Probes("1.2.3", checks=checks, patience_s=0.3))) as server:
        answer = requests.get(f"{server.url}/readyz?verbose", timeout=10)
    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
    assert answer.json()["checks"] == {
        "store": "The database is locked.",
        "comfyui": "no instance answers",
        "serving": "ok",
        "disk": "no answer within 0.3 s",
    }


def test_health_is_the_union_of_what_was_promised() -> None:
    probes = Probes("1.2.3", health=lambda: FACTS, warnings=["Anybody can run jobs."])
    with HttpServer(door_app(probes=probes)) as server:
        body = requests.get(f"{server.url}/health", timeout=5).json()
    assert datetime.fromisoformat(body.pop("timestamp")).tzinfo is not None
    uptime = body.pop("uptime")
    assert 0 <= uptime["total_uptime_seconds"] < 60 and 0 <= uptime["total_uptime_hours"] < 0.1
    assert body == {
        "status": "healthy",
        "version": "1.2.3",
        "database_path": "/data/jobs.db",
        "job_stats": FACTS.job_stats,
        "comfyui_instances": {"total": 2, "healthy": 1, "instances": FACTS.comfyui_instances},
        "remote_targets": [FAR],
        "job_processing": FACTS.job_processing,
        "warnings": ["Anybody can run jobs."],
    }


@pytest.mark.parametrize(
    ("failing", "code", "status"),
    [
        (None, 200, "healthy"),
        ("comfyui", 200, "degraded"),
        ("store", 503, "unavailable"),
        ("serving", 503, "unavailable"),
    ],
)
def test_load_balancers_are_sent_away_only_when_jobs_are_refused(failing: str | None, code: int, status: str) -> None:
    def check(name: str) -> Callable[[], str | None]:
        return lambda: "no" if name == failing else None

    probes = Probes("1.2.3", checks={name: check(name) for name in ("comfyui", "store", "serving")})
    with HttpServer(door_app(probes=probes, guard=Guard(["key"]))) as server:
        answer = requests.get(f"{server.url}/status", timeout=5)
    assert (answer.status_code, answer.json()["status"]) == (code, status)
    assert set(answer.json()) == {"status", "timestamp", "uptime_seconds"}


def test_health_answers_degraded_when_the_store_does_not(never: threading.Event) -> None:
    def blocked() -> HealthFacts:
        never.wait()
        return FACTS

    for health, said in ((unavailable, "The database is locked."), (blocked, "does not answer in time")):
        with HttpServer(door_app(probes=Probes("1.2.3", health=health, patience_s=0.3))) as server:
            answer = requests.get(f"{server.url}/health", timeout=10)
            assert requests.get(f"{server.url}/livez", timeout=1).status_code == 200
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        assert said in answer.json()["warnings"][0]


def test_health_is_degraded_when_jobs_can_be_counted_and_not_kept(never: threading.Event) -> None:
    checks: dict[str, Callable[[], str | None]] = {"store": lambda: str(never.wait()), "serving": lambda: "no"}
    probes = Probes("1.2.3", health=lambda: FACTS, checks=checks, patience_s=0.3)
    with HttpServer(door_app(probes=probes)) as server:
        body = requests.get(f"{server.url}/health", timeout=10).json()
    assert (body["status"], body["warnings"]) == ("degraded", ["store: no answer within 0.3 s"])
    assert body["job_stats"] == FACTS.job_stats


def test_a_warning_alone_degrades_nothing() -> None:
    facts = HealthFacts(warnings=["The queue is paused."])
    with HttpServer(door_app(probes=Probes("1.2.3", health=lambda: facts))) as server:
        body = requests.get(f"{server.url}/health", timeout=5).json()
    assert (body["status"], body["warnings"]) == ("healthy", ["The queue is paused."])


def test_the_process_is_alive_while_every_check_hangs(never: threading.Event) -> None:
    probes = Probes("1.2.3", checks={str(number): lambda: str(never.wait()) for number in range(50)})
    with HttpServer(door_app(probes=probes)) as server:
        asking = threading.Thread(target=lambda: requests.get(f"{server.url}/readyz", timeout=20))
        asking.start()
        assert requests.get(f"{server.url}/livez", timeout=1).json() == {"status": "alive"}
        # Other routes have threads of their own.
        assert requests.get(f"{server.url}/jobs/1", timeout=1).status_code == 200
        never.set()
        asking.join(20)


def test_the_root_says_what_this_is() -> None:
    with HttpServer(door_app()) as server:
        body = requests.get(server.url, timeout=5).json()
    assert (body["name"], body["version"], body["docs"]) == ("comfyui-worker", "1.2.3", "/docs")
