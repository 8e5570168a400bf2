"""What goes wrong many times is told a few times."""

from structlog.testing import capture_logs

from api.jobs.trouble import Trouble


def test_it_is_told_at_once_then_rarely_with_a_count_and_when_it_is_over() -> None:
    now = [0.0]
    trouble = Trouble("No heartbeat", "Heartbeats again", clock=lambda: now[0])
    with capture_logs() as logs:
        for _ in range(70):
            trouble.met("It is locked.", job_id="j-1")
            now[0] += 1
        assert trouble.reason == "It is locked."
        trouble.over(job_id="j-1")
        trouble.over(job_id="j-1")
        trouble.met("It is locked again.")
    assert [(line["event"], line["log_level"], line.get("times"), line.get("job_id")) for line in logs] == [
        ("No heartbeat", "warning", None, "j-1"),
        ("No heartbeat", "warning", 31, "j-1"),
        ("No heartbeat", "warning", 61, "j-1"),
        ("Heartbeats again", "info", 70, "j-1"),
        ("No heartbeat", "warning", None, None),
    ]
    assert logs[3]["lasted_s"] == 70


def test_what_goes_well_is_not_told() -> None:
    trouble = Trouble("No heartbeat", "Heartbeats again")
    with capture_logs() as logs:
        trouble.over()
    assert logs == [] and trouble.reason is None
