"""What a ComfyUI Deploy can do to its clients, on demand: names for the Faults of the stand-in."""

# What GET /standin/faults lists. COUNT: `on` = always, a number = that many times, then off by itself.
FAULTS: dict[str, str] = {
    "http_500": "ENDPOINT[:TIMES]; answers 500 without doing anything; * = every endpoint",
    "http_503": "ENDPOINT[:TIMES]; answers 503 with a proxy's page instead of JSON",
    "http_429": "ENDPOINT[:TIMES]; answers 429 with Retry-After (see retry_after)",
    "retry_after": "s | date | nothing; what a 429 says about when to come again, default 1",
    "http_hang": "ENDPOINT[:TIMES]; accepts the request and never answers",
    "http_delay": "ms; every answer comes that much later",
    "garbage": "ENDPOINT[:TIMES]; answers 200 with a page instead of JSON",
    "huge": "ENDPOINT[:TIMES]; answers 200 with a list that never ends",
    "page_cap": "N; lists come N rows at a time, whatever is asked for",
    "drop_answer": "COUNT; takes a run and cuts the connection instead of answering",
    "refuse_runs": "COUNT; refuses a run with 403, as an account without credits is",
    "hold_runs": "on = runs stay at running, half done, until it is off",
    "fail_runs": "COUNT; a run ends as failed",
    "timeout_runs": "COUNT; a run ends as timeout",
    "lose_runs": "COUNT; GET /run/{id} says 404 of a run that is there",
    "empty_runs": "COUNT; a run succeeds without outputs",
    "cancel_500": "COUNT; a cancel answers 500 and does nothing",
    "lose_webhooks": "COUNT; a webhook is not sent",
    "slow_webhooks": "ms; every webhook is sent that much later",
    "late_webhooks": "on = the first webhook of a run is sent again after the last one",
    "output_404": "COUNT; an output's URL says 404",
    "truncate_output": "BYTES[:TIMES]; an output announces its whole length, sends BYTES and cuts the connection",
    "old_rows": "on = runs carry workflow_api, as older servers have it and the SDK 0.7 insists on",
}
