"""The document: examples everywhere, errors and keys described, references that lead somewhere."""

import json
import re

from fastapi import APIRouter
from pydantic import BaseModel
from support.door_app import door_app, routes
from support.openapi_examples import undeclared_parameters, without_description, without_example

from api.routes.auth import OPEN_PATHS, Guard
from api.routes.errors import ErrorBody
from api.routes.probes import Probes
from api.routes.sse import EventStream
from api.server import create_app


def test_every_schema_has_an_example() -> None:
    assert without_example(door_app().openapi()) == []


def test_a_schema_without_one_is_found() -> None:
    class Bare(BaseModel):
        value: int

    router = APIRouter()

    @router.get("/bare")
    def bare(number: int = 0) -> Bare:
        return Bare(value=number)

    app = create_app([router], probes=Probes("1"), guard=Guard(), max_body_bytes=1)
    assert without_example(app.openapi()) == [
        "#/components/schemas/Bare",
        "GET /bare parameter number",
        "GET /bare 200 application/json",
    ]


def test_every_part_of_a_path_is_declared() -> None:
    assert undeclared_parameters(door_app().openapi()) == []
    router = APIRouter()
    router.add_api_route("/of/{somebody}", lambda: None, methods=["GET"])
    app = create_app([router], probes=Probes("1"), guard=Guard(), max_body_bytes=1)
    assert undeclared_parameters(app.openapi()) == ["GET /of/{somebody}: somebody"]


def test_all_references_lead_somewhere() -> None:
    document = door_app().openapi()
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert {"Order", "Part", "ErrorBody", "Problem", "Health"} <= names
    assert names <= set(document["components"]["schemas"])
    assert "$defs" not in json.dumps(document)


def test_what_refers_to_a_schema_says_nothing_else_about_it() -> None:
    router = APIRouter()
    router.add_api_route(
        "/stream",
        lambda: None,
        methods=["GET"],
        status_code=200,
        response_class=EventStream,
        responses={200: {"model": ErrorBody}},
    )
    app = create_app([router], probes=Probes("1"), guard=Guard(), max_body_bytes=1)
    content = app.openapi()["paths"]["/stream"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}


def test_bodies_that_we_read_ourselves_are_described() -> None:
    body = door_app().openapi()["paths"]["/echo"]["post"]["requestBody"]
    assert body["required"] is True
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Order"}
    assert body["content"]["application/json"]["examples"]["Order"]["value"]["parts"] == [{"name": "a.png"}]


def test_every_operation_says_how_it_may_fail() -> None:
    document = door_app().openapi()
    paths = document["paths"]
    for answer in document["components"]["responses"].values():
        assert set(answer["content"]) == {"application/json", "application/problem+json"}
    door = ["401", "403", "429", "500", "503"]
    body = ["400", "408", "413", "415"]
    assert list(paths["/livez"]["get"]["responses"]) == ["200", "500"]
    assert list(paths["/echo"]["post"]["responses"]) == ["200", *sorted([*body, *door])]
    assert list(paths["/jobs/{job_id}"]["get"]["responses"]) == ["200", *sorted([*door, "404"])]
    assert list(paths["/jobs/{job_id}"]["delete"]["responses"]) == ["200", *sorted([*door, "404", "409"])]
    assert list(paths["/page"]["get"]["responses"]) == ["200", *sorted([*door, "422"])]
    assert paths["/page"]["get"]["responses"]["422"] == {"$ref": "#/components/responses/Unprocessable"}


def test_what_nothing_is_said_about_is_found() -> None:
    assert "Order.parts" in without_description(door_app().openapi())
    assert "GET /page parameter limit" not in without_description(door_app().openapi())
    router = APIRouter()
    router.add_api_route("/of/{somebody}", lambda somebody: None, methods=["GET"])
    app = create_app([router], probes=Probes("1"), guard=Guard(), max_body_bytes=1)
    assert without_description(app.openapi()) == ["GET /of/{somebody} parameter somebody"]
    assert "GET /of/{somebody} parameter somebody" in without_example(app.openapi())


def test_keys_are_described_and_open_paths_need_none() -> None:
    document = door_app(guard=Guard(["k"])).openapi()
    assert set(document["components"]["securitySchemes"]) == {"ApiKey", "Bearer"}
    assert document["security"] == [{"ApiKey": []}, {"Bearer": []}]
    open_paths = {path for path, each in document["paths"].items() if each[next(iter(each))].get("security") == []}
    assert open_paths == OPEN_PATHS & set(document["paths"])
    assert {} in door_app().openapi()["security"]


def test_a_second_app_and_a_second_look_say_the_same() -> None:
    router = routes()
    apps = [create_app([router], probes=Probes("1"), guard=Guard(), max_body_bytes=1) for _ in range(2)]
    documents = [json.dumps(app.openapi()) for app in (*apps, apps[0])]
    assert documents[0] == documents[1] == documents[2]
