"""What is learned of how long workflows take, and what is expected of those to come."""

from dataclasses import replace

import pytest

from api.ids import InstanceName, JobId
from api.jobs.durations import Durations, Experience
from api.jobs.ends import Run
from api.jobs.job import Job, Status

DONE = Job(JobId("1"), 0.0, status=Status.SUCCEEDED, instance=InstanceName("a:1"))


def learn(durations: Durations, shape: str | None, *seconds: float, name: str | None = None, **values: object) -> None:
    for each in seconds:
        job = replace(DONE, shape=shape, workflow_name=name, **values)  # type: ignore[arg-type]
        durations.note(job, Run({"execute": each, "download": 0.25, "deliver": 0.25}))


def expected_s(durations: Durations, shape: str | None, name: str | None = None, instance: str | None = None) -> float:
    found = durations.expected(shape, name, instance)
    assert found is not None
    return found.execute_s


def test_nothing_is_known_at_first() -> None:
    assert Durations().expected("a:1", "x") is None


def test_the_same_again_takes_as_long_whatever_the_first_one_took() -> None:
    durations = Durations()
    learn(durations, "a:100", 60.0, 5.0, 5.1, 4.9)  # the first one loaded the model
    assert expected_s(durations, "a:100") == pytest.approx(5.05)
    found = durations.expected("a:100")
    assert found is not None and found.tail_s == 0.5


def test_a_size_never_seen_is_worked_out() -> None:
    durations = Durations()
    learn(durations, "a:100", 3.0, 3.1)
    learn(durations, "a:200", 5.0, 5.1)
    assert expected_s(durations, "a:400") == pytest.approx(9.0, rel=0.05)
    assert expected_s(durations, "a:50") == pytest.approx(2.0, rel=0.1)
    # More work is never expected to take less time.
    learn(durations, "b:1", 5.0)
    learn(durations, "b:2", 4.0)
    assert expected_s(durations, "b:100") >= 4.0


def test_the_closest_there_is_speaks() -> None:
    durations = Durations()
    learn(durations, "a:1", 10.0, name="upscale-image")
    learn(durations, "b:1", 2.0, name="remove-background")
    assert expected_s(durations, "unknown:1", "upscale-image") == 10.0
    assert expected_s(durations, "unknown:1", "never-ran") == 6.0
    assert expected_s(durations, None) == 6.0


def test_each_comfyui_has_its_own_speed() -> None:
    durations = Durations()
    learn(durations, "a:1", 1.0, 1.0, 1.0)
    learn(durations, "a:1", 9.0, 9.0, 9.0, instance="slow:1")
    assert expected_s(durations, "a:1", instance="slow:1") == 9.0
    assert expected_s(durations, "a:1", instance="a:1") == 1.0
    assert expected_s(durations, "a:1", instance="new:1") == 5.0


def test_failures_and_what_came_out_of_the_cache_teach_nothing() -> None:
    durations = Durations()
    durations.note(replace(DONE, status=Status.FAILED), Run({"execute": 1.0}))
    durations.note(DONE, Run({"execute": 0.001}, rendered=False))
    durations.note(DONE, Run({}))
    assert durations.expected(None) is None


def test_old_times_are_forgotten() -> None:
    durations = Durations()
    learn(durations, "a:1", *[9.0] * 100, *[1.0] * 32)
    assert expected_s(durations, "a:1") == 1.0


def test_it_stays_small() -> None:
    durations = Durations()
    for number in range(2000):
        learn(durations, f"{number}:1", float(number))
    again = Durations()
    again.know(durations.take_news())
    for each in (durations, again):
        # Of the oldest nothing is known any more but what all of them took.
        assert expected_s(each, "1999:1") == 1999.0
        assert expected_s(each, "5:1") == expected_s(each, "never:1")


def test_news_are_handed_over_once_and_taken_back_when_they_could_not_be_kept() -> None:
    durations = Durations()
    learn(durations, "a:1", 1.0)
    news = durations.take_news()
    assert durations.take_news() == {}
    learn(durations, "a:1", 2.0)
    durations.give_back(news)
    samples = durations.take_news()["shape:a"].samples
    assert [sample.execute_s for sample in samples] == [1.0, 2.0]


def test_what_was_kept_is_known_again() -> None:
    durations, again = Durations(), Durations()
    learn(durations, "a:100", 3.0, 3.0, 3.0)
    kept = {subject: Experience.of_json(each.as_json()) for subject, each in durations.take_news().items()}
    learn(again, "a:100", 5.0)
    again.know(kept)
    assert expected_s(again, "a:100") == 3.0


def test_the_pace_is_that_of_the_shape() -> None:
    durations = Durations()
    even = tuple(number / 10 for number in range(1, 10))
    durations.note(replace(DONE, shape="a:1"), Run({"execute": 1.0}, pace=even))
    found, other = durations.expected("a:5"), durations.expected("b:1")
    assert found is not None and found.pace == even
    assert other is not None and other.pace is None
