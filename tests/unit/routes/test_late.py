"""Routes that are made when the first of them is asked for."""

import threading

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from api.routes.late import LateRoutes


@pytest.fixture
def made() -> list[str]:
    return []


@pytest.fixture
def client(made: list[str]) -> TestClient:
    def make() -> list[APIRouter]:
        made.append(threading.current_thread().name)
        router = APIRouter()
        router.add_api_route("/late/{name}", lambda name: {"name": name}, methods=["GET"])
        return [router]

    app = FastAPI()
    app.router.routes.append(LateRoutes(["/late"], make))
    app.add_api_route("/late/early", lambda: "not reached", methods=["GET"])
    app.add_api_route("/other", lambda: "other", methods=["GET"])
    return TestClient(app)


def test_they_are_made_once_and_not_before(client: TestClient, made: list[str]) -> None:
    assert client.get("/other").json() == "other"
    assert made == []
    assert [client.get(f"/late/{name}").json()["name"] for name in ("a", "b", "early")] == ["a", "b", "early"]
    assert len(made) == 1


def test_what_they_do_not_have_is_told_as_by_any_router(client: TestClient) -> None:
    assert client.get("/late").status_code == 404
    assert client.post("/late/a").status_code == 405
