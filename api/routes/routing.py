"""Where jobs go: the rules as they are now, and what they say of a given request."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from ..jobs.request_findings import validated
from ..routing_layer import Explaining, RoutingLayer
from . import routing_words as words
from .answers import answer
from .body import JsonBody
from .openapi import request_body
from .routing_words import ExplainRequest, Explanation, RoutingTold

PATH = "/api/deploy/routing"


def router(routing: RoutingLayer) -> APIRouter:
    """/api/deploy/routing and /api/deploy/routing/explain."""
    routes = APIRouter(tags=["deploy"])

    @routes.get(
        PATH,
        summary="The rules that send jobs to machines",
        responses={200: {"model": RoutingTold, "description": "The rules in force and their problems"}},
    )
    def rules() -> Response:
        table = routing.router.tables().whole
        told = {
            "routing": words.file(routing.router.file),
            "names": words.file(routing.names),
            "allow_override": table.allow_override,
            "rules": [words.rule(each, routing.trouble) for each in table.rules],
            "default": words.rule(table.default, routing.trouble),
            "problems": routing.problems(),
        }
        return answer(told)

    @routes.post(
        f"{PATH}/explain",
        summary="Which rule sends a request where, and why",
        description="Nothing is run and nothing is asked of any machine. Answered as if the caller had submitted the "
        "job: 403 when it asks for a place (gpu, machine_id) that the rules keep from it.",
        responses={200: {"model": Explanation, "description": "Where it goes now"}},
        openapi_extra=request_body(ExplainRequest),
    )
    def explain(request: Request, body: JsonBody) -> Response:
        asked = validated(ExplainRequest, body)
        explaining = Explaining(
            workflow_name=asked.workflow_name or None,
            workflow=asked.workflow,
            models=asked.models,
            gpu=asked.gpu or None,
            machine_id=asked.machine_id or None,
            job_id=asked.job_id,
            is_operator=getattr(request.state, "is_operator", False),
        )
        return answer(words.explanation(routing.explain(explaining), routing.trouble))

    return routes
