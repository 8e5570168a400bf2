"""A job's states and places: what may follow what, who goes first, and what a log line says."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import CudaFault
from api.ids import InstanceName, JobId, PromptId
from api.jobs.job import (
    ACTIVE,
    TERMINAL,
    TRANSITIONS,
    Job,
    JobError,
    Lease,
    Priority,
    Status,
    may_follow,
    rank_of,
    sources,
)

JOB = Job(JobId("j1"), created_at=1000.0)
TIMES = st.floats(min_value=1.6e9, max_value=2e9)


def test_every_state_is_in_the_table_and_in_one_group() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert {Status.QUEUED} | ACTIVE | TERMINAL == set(Status)
    assert len(ACTIVE) + len(TERMINAL) + 1 == len(Status)


def test_what_may_follow_what() -> None:
    legal = {f"{before} {after}" for before, after in itertools.product(Status, Status) if may_follow(before, after)}
    assert legal == {
        *("queued running", "queued cancelled", "queued timed_out"),
        *("running queued", "running canceling"),
        *("running succeeded", "running failed", "running timed_out", "running cancelled"),
        *("canceling succeeded", "canceling failed", "canceling timed_out", "canceling cancelled"),
        *("failed queued", "timed_out queued", "cancelled queued"),
    }


def test_only_a_retry_leads_out_of_an_end_and_none_out_of_success() -> None:
    assert {after for status in TERMINAL for after in TRANSITIONS[status]} == {Status.QUEUED}
    assert TRANSITIONS[Status.SUCCEEDED] == frozenset()


@given(st.sampled_from(Status), st.sampled_from(Status))
def test_sources_are_the_table_read_backwards(before: Status, after: Status) -> None:
    assert (before in sources(after)) == may_follow(before, after)
    assert sources(after, TERMINAL) == sources(after) & TERMINAL


@given(st.sampled_from(Priority), st.sampled_from(Priority), TIMES, TIMES, st.floats(min_value=0, max_value=1e6))
def test_nobody_is_overtaken_by_somebody_much_younger(
    old: Priority, new: Priority, arrived: float, later: float, ageing_s: float
) -> None:
    steps = max(0, new.weight - old.weight)
    if later > arrived + steps * ageing_s + 1e-3:
        assert rank_of(old, arrived, ageing_s) < rank_of(new, later, ageing_s)


@given(TIMES)
def test_of_those_who_arrive_together_the_urgent_go_first(at: float) -> None:
    ranks = [rank_of(priority, at, 60) for priority in (Priority.HIGH, Priority.NORMAL, Priority.LOW)]
    assert ranks == sorted(ranks)
    assert ranks[1] == at


def test_a_running_job_has_a_lease_and_a_waiting_one_has_none() -> None:
    assert replace(JOB, worker="w", attempt=4).lease == Lease(JobId("j1"), "w", 4)
    with pytest.raises(ValueError, match="nobody runs it"):
        _ = JOB.lease


@pytest.mark.parametrize("status", Status)
def test_which_states_are_ends(status: Status) -> None:
    assert replace(JOB, status=status).is_terminal is (status in TERMINAL)


def test_the_last_attempt() -> None:
    assert not replace(JOB, attempts=2, max_attempts=3).is_last_attempt
    assert replace(JOB, attempts=3, max_attempts=3).is_last_attempt


def test_an_error_of_the_tree_as_a_value() -> None:
    error = CudaFault("The GPU is gone.", [{"node_id": "3"}])
    assert JobError.of(error) == JobError("CUDA_FAULT", "The GPU is gone.", ({"node_id": "3"},), retryable=True)


def test_the_log_context_says_what_is_known() -> None:
    assert JOB.log_context() == {"job_id": "j1", "status": "queued", "attempt": 0}
    prompt = {"prompt_id": PromptId("p"), "instance": InstanceName("gpu0")}
    running = replace(JOB, status=Status.RUNNING, worker="w", attempts=1, webhook="https://secret", **prompt)
    expected = {"job_id": "j1", "status": "running", "attempt": 1, "worker": "w", **prompt}
    assert running.log_context() == expected
