"""The document: examples everywhere, errors and keys described, references that lead somewhere."""

import json
import re

from fastapi import APIRouter
from pydantic import BaseModel
from support.door_app import door_app, routes
from support.openapi_examples import undeclared_parameters, without_example

from api.routes.auth import OPEN_PATHS, Guard
from api.routes.probes import Probes
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


def test_bodies_that_we_read_ourselves_are_described() -> None:
    body = door_app().openapi()["paths"]["/echo"]["post"]["requestBody"]
    assert body["required"] is True
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Order"}
    assert body["content"]["application/json"]["examples"]["Order"]["value"]["parts"] == [{"name": "a.png"}]


def test_every_operation_may_fail_in_the_one_way() -> None:
    for path, operations in door_app().openapi()["paths"].items():
        for operation in operations.values():
            assert set(operation["responses"]["default"]["content"]) == {
                "application/json",
                "application/problem+json",
            }, path
            assert "422" not in operation["responses"]


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
