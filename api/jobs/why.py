"""What became of a job, in one sentence for whoever asks why it is where it is."""

from .job import SAID, Job, Status


def what_became_of(job: Job) -> str:
    """For a job that does not wait."""
    match job.status:
        case Status.RUNNING:
            node = f" at node {job.node}" if job.node else ""
            return f"It does not wait: it is running{node}, {job.progress:.0%} done."
        case Status.CANCELING:
            return "It was cancelled while it ran and stops as soon as its node lets it."
        case _:
            reason = f": {job.error.message}" if job.error else "."
            return f"It does not wait: it {SAID[job.status]}{reason}"


def place_in_line(ahead: int, in_hand: int) -> str:
    """For a job that only has to be its turn; `in_hand` jobs have begun."""
    if ahead:
        return f"{ahead} {'job is' if ahead == 1 else 'jobs are'} ahead of it."
    if in_hand:
        return f"It is next in line; {in_hand} {'job has' if in_hand == 1 else 'jobs have'} begun, and one has to end."
    return "It is next in line."
