"""What a round of a thread raises is told, and the next round comes."""

from structlog.testing import capture_logs

from api.errors import StoreUnavailable
from api.jobs.survived import survived


def test_what_is_raised_is_told_and_goes_no_further() -> None:
    rounds = []
    with capture_logs() as logs:
        for error in (StoreUnavailable("It is away."), RuntimeError("a defect"), None):
            with survived("No heartbeat", job_id="j-1"):
                rounds.append(error)
                if error:
                    raise error
    assert len(rounds) == 3
    assert [(entry["event"], entry["job_id"], entry.get("error")) for entry in logs] == [
        ("No heartbeat", "j-1", "It is away."),
        ("No heartbeat", "j-1", None),
    ]
    assert logs[1]["exc_info"]
