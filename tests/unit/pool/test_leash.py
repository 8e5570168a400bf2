"""What the end of a run does to its prompt."""

import pytest

from api.errors import JobCancelled, JobTimedOut, WorkerError, WorkerStopping
from api.jobs.cancel import CancelToken, TakenOver
from api.pool.leash import Leash


@pytest.mark.parametrize(
    ("reason", "stays"),
    [
        (TakenOver("taken"), True),
        (WorkerStopping("stops"), False),
        (JobCancelled("c"), False),
        (JobTimedOut("t"), False),
    ],
)
def test_a_prompt_that_another_worker_follows_is_left_to_it(reason: WorkerError, stays: bool) -> None:
    job = CancelToken()
    leash = Leash(job)
    job.cancel(reason)
    assert leash.cancel.is_set() and leash.cancel.reason is reason
    assert leash.is_given_up() is stays
