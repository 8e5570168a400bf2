"""A histogram of durations: a few hundred bytes however many there were, quantiles within 2 %, and two can be added."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

_ERROR = 0.02
_GROWTH = (1 + _ERROR) / (1 - _ERROR)
_LOG_GROWTH = math.log(_GROWTH)
# Shorter ones are all the same.
_LEAST_S = 0.001


class Histogram:
    """Buckets whose bounds grow by the same factor. Not safe to share between threads."""

    __slots__ = ("buckets", "largest_s", "sum_s")

    def __init__(self, buckets: Mapping[int, int] | None = None, sum_s: float = 0.0, largest_s: float = 0.0) -> None:
        self.buckets = Counter(buckets or {})
        self.sum_s = sum_s
        self.largest_s = largest_s

    @property
    def count(self) -> int:
        """How many durations there were."""
        return self.buckets.total()

    @property
    def mean_s(self) -> float | None:
        """Their mean; None when there were none."""
        return self.sum_s / self.count if self.buckets else None

    def add(self, seconds: float) -> None:
        """Count one duration; below zero counts as zero."""
        seconds = max(seconds, 0.0)
        self.buckets[math.ceil(math.log(max(seconds, _LEAST_S)) / _LOG_GROWTH)] += 1
        self.sum_s += seconds
        self.largest_s = max(self.largest_s, seconds)

    def merge(self, other: "Histogram") -> None:
        """Add what the other one has counted."""
        self.buckets.update(other.buckets)
        self.sum_s += other.sum_s
        self.largest_s = max(self.largest_s, other.largest_s)

    def quantile(self, share: float) -> float | None:
        """The duration that `share` (0 to 1) of them do not exceed; None when there were none."""
        wanted = max(1, math.ceil(share * self.count))
        seen = 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen >= wanted:
                return min(2 * _GROWTH**index / (_GROWTH + 1), self.largest_s)
        return None

    def as_json(self) -> dict[str, Any]:
        """For keeping."""
        buckets = {str(index): count for index, count in sorted(self.buckets.items())}
        return {"buckets": buckets, "sum_s": round(self.sum_s, 4), "largest_s": round(self.largest_s, 4)}

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Self:
        """What was kept."""
        buckets = {int(index): int(count) for index, count in kept["buckets"].items()}
        return cls(buckets, float(kept["sum_s"]), float(kept["largest_s"]))
