"""What a worker's /metrics says: `values(text)["comfyui_queue_length", ()]`, with labels as sorted pairs."""

from collections.abc import Iterator
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]


def values(text: str) -> dict[tuple[str, Labels], float]:
    """Every sample. Fails when one stands there twice."""
    found: dict[tuple[str, Labels], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(text: str, name: str, **labels: str) -> float | None:
    return values(text).get((name, tuple(sorted(labels.items()))))


def families(text: str) -> Iterator[Any]:
    return iter(text_string_to_metric_families(text))


def names(text: str) -> set[str]:
    """All names that may stand in a query: those of samples, and of families without any."""
    found = set()
    for family in families(text):
        base = f"{family.name}_total" if family.type == "counter" else family.name
        found |= {base, *(sample.name for sample in family.samples)}
        if family.type == "histogram":
            found |= {f"{family.name}_bucket", f"{family.name}_sum", f"{family.name}_count"}
    return found
