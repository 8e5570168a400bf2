"""How long workflows execute on each ComfyUI, learned from those that did."""

from collections import defaultdict

from ..ids import InstanceName

_NEWEST = 0.3
_UNKNOWN_S = 1.0
# Reading a model of some gigabytes.
_LOAD_S = 5.0
# Of a run that had to load its models, what is left without: a guess until one has been seen.
_WARM_SHARE = 0.25

_Seconds = dict[str, dict[InstanceName, float]]


class Times:
    """Not thread-safe: used under the pool's lock. `kind` names workflows alike; cold: models had to be loaded."""

    def __init__(self) -> None:
        self._warm: _Seconds = defaultdict(dict)
        self._cold: _Seconds = defaultdict(dict)
        self._mean: dict[InstanceName, float] = {}

    def note(self, name: InstanceName, kind: str, seconds: float, *, cold: bool) -> None:
        """Learn from one execution."""
        _learn((self._cold if cold else self._warm)[kind], name, seconds)
        _learn(self._mean, name, seconds)

    def expected(self, name: InstanceName, kind: str, *, cold: bool = False) -> float:
        """Seconds, a guess where nothing is known."""
        warm_s = self._known(self._warm, name, kind)
        cold_s = self._known(self._cold, name, kind)
        if not cold:
            if warm_s is None and cold_s is not None:
                return cold_s * _WARM_SHARE
            return self.mean(name) if warm_s is None else warm_s
        if cold_s is None:
            return (self.mean(name) if warm_s is None else warm_s) + _LOAD_S
        return max(cold_s, warm_s or 0.0)

    def mean(self, name: InstanceName) -> float:
        """Seconds of the prompts of that ComfyUI, whatever their kind."""
        if name in self._mean:
            return self._mean[name]
        return sum(self._mean.values()) / len(self._mean) if self._mean else _UNKNOWN_S

    def _known(self, table: _Seconds, name: InstanceName, kind: str) -> float | None:
        """Its own time, else what it took elsewhere, as much slower as this one is in general."""
        known = table.get(kind) or {}
        if name in known:
            return known[name]
        told = [known[other] * self.mean(name) / self.mean(other) for other in known if self.mean(other) > 0]
        return sum(told) / len(told) if told else None


def _learn(known: dict[InstanceName, float], name: InstanceName, seconds: float) -> None:
    known[name] = known[name] + _NEWEST * (seconds - known[name]) if name in known else seconds
