"""The order people expect of node ids. Knows nothing."""

import re

_RUNS = re.compile(r"([0-9]+)")


def natural_key(node_id: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sort key: "2", "2.0.0.1", "10", "10:3", "a"."""
    return tuple(_part_key(part) for part in _RUNS.split(node_id) if part), node_id


def _part_key(part: str) -> tuple[int, int, str]:
    # By length, then by digits: int() refuses numbers of more than 4,300 digits.
    digits = part.lstrip("0")
    return (0, len(digits), digits) if part[0] in "0123456789" else (1, 0, part)
