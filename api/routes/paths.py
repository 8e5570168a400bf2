"""Paths and limits of surfaces that are made late: what stands in front of all requests has to know them before."""

COMFY_PREFIX = "/api/comfy"
COMFY_VIEW = f"{COMFY_PREFIX}/view"
COMFY_INGEST = f"{COMFY_PREFIX}/ingest"
# The fields of an ingest beside its file: a workflow of 10,000 nodes, and more metadata than anybody reads.
INGEST_FIELDS_BYTES = {"prompt_id": 200, "workflow": 2_000_000, "metadata": 1_000_000}
INGEST_ROOM_BYTES = sum(INGEST_FIELDS_BYTES.values()) + 100_000

DEPLOY_PREFIX = "/api/deploy"
DEPLOY_WEBHOOK = f"{DEPLOY_PREFIX}/webhook"
# What webhooks say is little; nobody has proven anything yet.
DEPLOY_WEBHOOK_BYTES = 2_000_000
DEPLOY_OPERATOR_PATHS = (f"{DEPLOY_PREFIX}/cache/invalidate",)
DEPLOY_MACHINE_PREFIX = "/comfyui-deploy"

MANAGEMENT_STREAM = "/v1/comfyui/stream"
COMFY_STREAM = f"{COMFY_PREFIX}/stream"
# Where callers stay to be told of jobs, over server-sent events or WebSockets.
STREAM_PATHS = ("/events", "/ws", COMFY_STREAM, MANAGEMENT_STREAM)
