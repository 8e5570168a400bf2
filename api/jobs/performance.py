"""What the counted jobs come to: rates, quantiles, shares of errors. Pure sums; knows no store and no surface."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import errors as tree
from ..deploy_errors import DeployError
from ..errors import WorkerError
from .ends import ALL_TIME, EXECUTE, FAILURES, HOUR_S, TIMES, Ends, Series
from .histogram import Histogram
from .job import Status

Lines = Iterable[tuple[Series, Ends]]
# A rate out of less than this would be one of chance.
_LEAST_SPAN_S = 60.0
_CATEGORIES: Mapping[type[WorkerError], str] = {
    tree.InvalidInput: "input",
    tree.InputUnavailable: "input_source",
    tree.ExecutionFailed: "execution",
    tree.ExecutionInterrupted: "interrupted",
    tree.JobTimedOut: "timeout",
    tree.JobExpired: "timeout",
    tree.ComfyError: "comfyui",
    DeployError: "comfyui",
    tree.DeliveryFailed: "delivery",
    tree.WorkerError: "worker",
}


@dataclass(frozen=True)
class Window:
    """What was counted in a span of time that ends at `now`, and in all time. `span_s` is what it covers of it."""

    now: float
    span_s: float
    lines: tuple[tuple[Series, Ends], ...] = ()
    ever: Ends = field(default_factory=Ends)

    @classmethod
    def of(cls, lines: Lines, now: float, hours: float) -> "Window":
        """The last `hours`, from the beginning of the first of them; less where the first job came later."""
        lines = tuple(lines)
        recent = tuple((series, ends) for series, ends in lines if series.hour != ALL_TIME)
        ever = total(ends for series, ends in lines if series.hour == ALL_TIME)
        begin = max(ever.first_at or now, (now - hours * HOUR_S) // HOUR_S * HOUR_S)
        return cls(now, max(now - begin, _LEAST_SPAN_S), recent, ever)

    @property
    def whole(self) -> Ends:
        """All of it added up."""
        return total(ends for _, ends in self.lines)

    def by(self, key: Callable[[Series], Any]) -> dict[Any, Ends]:
        """Added up by what `key` says of each line, in the order of its values."""
        sums: dict[Any, Ends] = {}
        for series, ends in self.lines:
            sums.setdefault(key(series), Ends()).merge(ends)
        return dict(sorted(sums.items()))

    def per_hour(self, count: float) -> float:
        """A count of this window as a rate."""
        return round(count * HOUR_S / self.span_s, 2)

    def share_busy(self, ends: Ends) -> float:
        """The share of the window (0 to 1) in which something was executing."""
        return round(min(ends.busy_s / self.span_s, 1.0), 4)


def total(parts: Iterable[Ends]) -> Ends:
    """All of them added up."""
    whole = Ends()
    for part in parts:
        whole.merge(part)
    return whole


def succeeded(ends: Ends) -> int:
    """How many jobs succeeded."""
    return ends.by_status[Status.SUCCEEDED.value]


def failed(ends: Ends) -> int:
    """How many jobs failed or timed out."""
    return sum(ends.by_status[status.value] for status in FAILURES)


def cancelled(ends: Ends) -> int:
    """How many jobs were cancelled."""
    return ends.by_status[Status.CANCELLED.value]


def success_rate(ends: Ends) -> float | None:
    """Succeeded jobs among those that were not cancelled, 0 to 1; None when there were none."""
    judged = succeeded(ends) + failed(ends)
    return round(succeeded(ends) / judged, 4) if judged else None


def mean_execution_s(ends: Ends) -> float | None:
    """The mean time jobs executed; None when none did."""
    return _rounded(ends.times[EXECUTE].mean_s)


def times(ends: Ends) -> dict[str, dict[str, Any]]:
    """`{"wait", "execute", "deliver", "total"}`: `{"count", "mean", "p50", "p95", "p99", "max"}` in seconds."""
    return {name: _quantiles(ends.times[name]) for name in TIMES}


def category(code: str) -> str:
    """What kind of failure an error code stands for."""
    return _BY_CODE.get(code, "worker")


def _quantiles(histogram: Histogram) -> dict[str, Any]:
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {
        "count": histogram.count,
        "mean": _rounded(histogram.mean_s),
        **{name: _rounded(histogram.quantile(share)) for name, share in shares.items()},
        "max": _rounded(histogram.largest_s) if histogram.buckets else None,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _codes(kind: type[WorkerError], inherited: str) -> dict[str, str]:
    name = _CATEGORIES.get(kind, inherited)
    found = {kind.code: name}
    for child in kind.__subclasses__():
        found |= _codes(child, name)
    return found


_BY_CODE = _codes(WorkerError, "worker")
