"""/prompt, /queue, /interrupt, /free, /history: what drives and watches the engine.

Handlers let everything raise that raises in ComfyUI: aiohttp turns it into the recorded 500 text.
"""

import json
import uuid
from typing import Any

from aiohttp import web

from .engine import Engine
from .faults import Faults
from .input_checks import error
from .validation import validate_prompt


class PromptRoutes:
    def __init__(self, engine: Engine, faults: Faults) -> None:
        self._engine = engine
        self._queue = engine.queue
        self._faults = faults
        self._counter = 0

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/prompt", self.get_prompt),
            web.post("/prompt", self.post_prompt),
            web.get("/queue", self.get_queue),
            web.post("/queue", self.post_queue),
            web.post("/interrupt", self.post_interrupt),
            web.post("/free", self.post_free),
            web.get("/history", self.get_history),
            web.get("/history/{prompt_id}", self.get_history_of),
            web.post("/history", self.post_history),
        ]

    async def get_prompt(self, request: web.Request) -> web.Response:
        return web.json_response({"exec_info": {"queue_remaining": self._queue.remaining()}})

    async def post_prompt(self, request: web.Request) -> web.Response:
        self._engine.die_before()
        body = await request.json()
        number = self._number(body)
        if "prompt" not in body:
            refusal = error("no_prompt", "No prompt provided", "No prompt provided")
            return web.json_response({"error": refusal, "node_errors": {}}, status=400)
        prompt, prompt_id = body["prompt"], str(body.get("prompt_id", uuid.uuid4()))
        targets = body.get("partial_execution_targets")
        verdict = validate_prompt(prompt, targets, self._engine.nodes, self._engine.directories.input)
        extra_data = body.get("extra_data", {})
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        if verdict.refusal is not None:
            return web.json_response({"error": verdict.refusal, "node_errors": verdict.node_errors}, status=400)
        self._queue.put((number, prompt_id, prompt, extra_data, verdict.outputs))
        self._spoil_answer(request)
        answer = {"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors}
        return web.json_response(answer)

    def _number(self, body: Any) -> Any:
        """Explicit, or from the counter that rejected prompts use up as well; `front` is the negative."""
        if "number" in body:
            return float(body["number"])
        number = self._counter
        self._counter += 1
        return -number if "front" in body and body["front"] else number  # noqa: RUF019 (the body may be a list)

    def _spoil_answer(self, request: web.Request) -> None:
        if self._faults.take("accept_then_500"):
            raise RuntimeError("accept_then_500")
        if self._faults.take("drop_prompt_answer") and request.transport is not None:
            request.transport.abort()

    async def get_queue(self, request: web.Request) -> web.Response:
        running, pending = self._queue.snapshot()
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def post_queue(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("clear"):
            self._queue.clear()
        for prompt_id in body.get("delete", ()):
            self._queue.delete(prompt_id)
        return web.Response()

    async def post_interrupt(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except json.JSONDecodeError:
            body = {}
        self._engine.interrupt(body.get("prompt_id"))
        return web.Response()

    async def post_free(self, request: web.Request) -> web.Response:
        body = await request.json()
        for flag in ("unload_models", "free_memory"):
            if body.get(flag):
                self._queue.set_flag(flag)
        return web.Response()

    async def get_history(self, request: web.Request) -> web.Response:
        query = request.rel_url.query
        max_items = int(query["max_items"]) if "max_items" in query else None
        offset = int(query["offset"]) if "offset" in query else -1
        return web.json_response(self._queue.history(max_items, offset))

    async def get_history_of(self, request: web.Request) -> web.Response:
        return web.json_response(self._queue.history_of(request.match_info["prompt_id"]))

    async def post_history(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("clear"):
            self._queue.clear_history()
        for prompt_id in body.get("delete", ()):
            self._queue.delete_history(prompt_id)
        return web.Response()
