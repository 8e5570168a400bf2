"""How long routing decisions take, with 1,000 rules and callers who make up names. Limit: 1,000 a second, p99 1 ms."""

import argparse
import itertools
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from api.logs import configure  # noqa: E402
from api.workflows.naming import names_file  # noqa: E402
from api.workflows.routing import Ask, Destination  # noqa: E402
from api.workflows.routing_file import Router  # noqa: E402

_RULES = 1000
_RATE = 1000
_LIMIT_S = 0.001
_MODELS = ("flux1-dev.safetensors", "SDXL/base.safetensors", "vae/ae.sft")
_THREADS = 4


def rules(kind: str) -> list[dict[str, Any]]:
    """A rule file's rules of one kind, each with two weighted places and a fallback."""
    to = [{"machine": "m-1", "weight": 3}, {"label": "fast", "weight": 1}]
    terms = {
        "names": ("workflow", "workflow-{}"),
        "patterns": ("workflow", "work*-{}-*"),
        "models": ("model", "*lora-{}*.safetensors"),
    }
    kinds = list(terms) if kind == "mixed" else [kind]
    return [
        {terms[each][0]: terms[each][1].format(number), "to": to, "fallbacks": ["runpod"]}
        for number, each in zip(range(_RULES), itertools.cycle(kinds), strict=False)
    ]


def asks(*, made_up: bool, seed: int) -> Iterator[Ask]:
    """Jobs without end: of 2,000 workflows, or each of a name that was never there before."""
    chance = random.Random(seed)
    for number in itertools.count():
        name = f"Workflow {chance.randrange(2000)} v2" if not made_up else f"Work {seed} {number}-{chance.random()}"
        models = _MODELS if not made_up else (f"a-lora-{number}-{seed}.safetensors", *_MODELS[:2])
        yield Ask(name, models, key=f"job-{seed}-{number}")


def unavailable(destination: Destination) -> str | None:
    """One of ten machines is away."""
    return "it is away" if destination.label else None


def at_rate(router: Router, seconds: float, *, made_up: bool) -> list[float]:
    """Seconds that each decision took, asked for one after another at the rate."""
    jobs, taken = asks(made_up=made_up, seed=1), []
    began = time.perf_counter()
    for number in range(int(seconds * _RATE)):
        while time.perf_counter() < began + number / _RATE:
            time.sleep(0.0002)
        ask = next(jobs)
        start = time.perf_counter()
        router.tables().workflows.route(ask, unavailable)
        taken.append(time.perf_counter() - start)
    return taken


def flat_out(router: Router, seconds: float, *, made_up: bool) -> float:
    """Decisions per second of several threads together."""
    counts: list[int] = []
    until = time.perf_counter() + seconds

    def work(seed: int) -> None:
        count = 0
        for ask in asks(made_up=made_up, seed=seed):
            if time.perf_counter() >= until:
                break
            router.tables().workflows.route(ask, unavailable)
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def rewritten(path: Path, document: dict[str, Any], stop: threading.Event) -> None:
    """Have the file change all the time."""
    for number in itertools.count():
        if stop.wait(1.0):
            return
        new = path.with_suffix(".new")
        new.write_text(json.dumps({**document, "defaultMachine": f"m-{number}"}))
        new.replace(path)


def measured(kind: str, seconds: float, *, made_up: bool, changing: bool = False) -> tuple[float, float, float, float]:
    """p50, p99 and the longest of the decisions at the rate (seconds), and decisions per second flat out."""
    with tempfile.TemporaryDirectory() as folder:
        path, document = Path(folder) / "routing.json", {"rules": rules(kind)}
        path.write_text(json.dumps(document))
        router = Router(path, names_file(None).get)
        router.tables()
        stop = threading.Event()
        writer = threading.Thread(target=rewritten, args=(path, document, stop))
        if changing:
            writer.start()
        taken = sorted(at_rate(router, seconds, made_up=made_up))
        stop.set()
        fastest = flat_out(router, min(seconds, 2.0), made_up=made_up)
    return statistics.median(taken), taken[int(len(taken) * 0.99)], taken[-1], fastest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each is measured")
    seconds = parser.parse_args().seconds
    configure("error", "console")
    print(f"{_RULES:,} rules, {_RATE:,} decisions per second, one after another; then {_THREADS} threads flat out")
    print("| rules | callers | p50 µs | p99 µs | longest µs | flat out, per second |")
    print("|---|---|---:|---:|---:|---:|")
    missed = 0
    cases = [(kind, made_up, False) for kind in ("names", "patterns", "models", "mixed") for made_up in (False, True)]
    for kind, made_up, changing in [*cases, ("mixed", False, True)]:
        p50, p99, longest, fastest = measured(kind, seconds, made_up=made_up, changing=changing)
        callers = "a new name each time" if made_up else "2,000 workflows"
        callers += ", the file changes every second" if changing else ""
        print(f"| {kind} | {callers} | {p50 * 1e6:.0f} | {p99 * 1e6:.0f} | {longest * 1e6:,.0f} | {fastest:,.0f} |")
        missed += p99 > _LIMIT_S or fastest < _RATE
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
