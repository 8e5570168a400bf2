"""Names that resemble one that is not known, cheaply among thousands."""

import difflib
import heapq
from collections.abc import Iterable
from itertools import islice

# What is longer is no name that somebody has mistyped, and of so many the likest is not worth the time.
_LONGEST = 120
_MOST_NAMES = 5_000
# Names that are compared letter by letter, which takes twenty times as long as telling which ones are worth it.
_COMPARED = 64
# Mistakes of one request that names are suggested for: even so each takes a millisecond.
MOST_SUGGESTED = 10


def alike(wanted: str, names: Iterable[str], most: int, cutoff: float) -> list[str]:
    """At most so many of the names, the most like first; `cutoff` as difflib has it, from 0 to 1 for equal ones.

    Takes some tens of milliseconds at worst, however many and long the names are.
    """
    if len(wanted) > _LONGEST:
        return []
    names = [name for name in islice(names, _MOST_NAMES) if len(name) <= _LONGEST]
    pairs = {wanted[at : at + 2] for at in range(len(wanted) - 1)}

    def shared(name: str) -> float:
        return sum(map(name.__contains__, pairs)) / (len(name) + len(wanted) + 1)

    return difflib.get_close_matches(wanted, heapq.nlargest(_COMPARED, names, key=shared), most, cutoff)
