"""News of runs: who is woken, and how often."""

import time

from api.comfydeploy.news import News


def test_steps_in_heaps_are_heard_now_and_then_and_the_end_at_once() -> None:
    news = News()
    waiting = news.expect("cd-1")
    step = {"run_id": "r-1", "status": "running"}
    began = time.monotonic()
    for _ in range(3):
        assert news.told("cd-1", step)
        waiting.wait(60)
    assert time.monotonic() - began > 0.5 and waiting.heard == 3 and waiting.claimed == "r-1"
    pauses = []
    for _ in range(5):
        news.told("cd-1", {**step, "status": "success"})
        began = time.monotonic()
        waiting.wait(60)
        pauses.append(time.monotonic() - began)
    # The quickest: on a machine that is busy any of them may take long.
    assert min(pauses) < 0.15


def test_what_nobody_waits_for_wakes_nobody() -> None:
    news = News()
    waiting = news.expect("cd-1")
    assert news.is_expected("cd-1") and not news.is_expected("cd-2") and not news.told("cd-2", {})
    # No id of a run: it would be put into a path.
    for claimed in ("../../x", "a" * 100_000, "", 7, None):
        assert news.told("cd-1", {"run_id": claimed})
    assert waiting.claimed is None
    news.forget("cd-1")
    assert not news.is_expected("cd-1")
