"""Room in the pool, taken before a job is: who has taken it counts against the free slots until the job is placed."""

from collections.abc import Callable

from .member import Member


class Seat:
    """For one job, from before it is claimed to its end. `pinned`: for the one ComfyUI, whatever its state."""

    def __init__(self, left: "Callable[[Seat], None]", pinned: Member | None = None, taken_at: float = 0.0) -> None:
        self._left = left
        self.taken_at = taken_at
        self.pinned = pinned
        # From the job's first placement on; before that the seat itself is what counts.
        self.is_used = False

    def leave(self) -> None:
        """The job has ended, or there was none. Again is no harm."""
        self._left(self)
