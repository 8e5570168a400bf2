"""How quick the gallery is with many pictures: pages, searches and filters over HTTP, and the index made anew.

Makes sidecars like those of real workflows (files of one byte), then asks in one connection. Each kind of page must
stay under 20 ms at the 95th percentile; under 150 ms what has to look through all that a common word or workflow is in.
Exit status 1 when one does not.
"""

import argparse
import hashlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]

from support.gallery_rig import GalleryRig, gallery_rig  # noqa: E402

from api.gallery.files import GalleryFolder  # noqa: E402
from api.gallery.sidecar import FileFacts, Sidecar, Source  # noqa: E402

_GALLERY = "/api/comfy/gallery"
_MOST_MS = 20.0
_MOST_THOROUGH_MS = 150.0
_DAY_S = 24 * 3600.0
_DAYS = 300
_WORDS = 3000
_SIZES = ((512, 512), (768, 512), (1024, 1024), (832, 1216), (1536, 640))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gallery-") as folder, gallery_rig(Path(folder)) as rig:
        began = time.monotonic()
        _fill(Path(folder), arguments.pictures)
        print(f"{arguments.pictures:,} pictures with sidecars made in {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        rig.gallery.reindex()
        size_mb = (Path(folder) / ".gallery/index.db").stat().st_size / 1e6
        print(f"index made anew in {time.monotonic() - began:.1f} s, {size_mb:.0f} MB")
        began = time.monotonic()
        rig.gallery.mend()
        print(f"compared with the folder, as at each start, in {time.monotonic() - began:.2f} s")
        good = [_measured(rig, name, make, arguments.requests, _MOST_MS) for name, make in _pages()]
        good += [_measured(rig, name, make, arguments.requests, _MOST_THOROUGH_MS) for name, make in _thorough()]
    return 0 if all(good) else 1


def _fill(root: Path, count: int) -> None:
    folder = GalleryFolder(root)
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(_WORDS)]
    # As in real prompts a few words are in most of them.
    weights = [1 / (rank + 1) for rank in range(_WORDS)]
    for number in range(count):
        created_at = 1_700_000_000.0 + number * _DAYS * _DAY_S / count
        sidecar = _sidecar(number, created_at, chance, words, weights)
        place = folder.place(sidecar)
        if not place.path.parent.is_dir():
            place.path.parent.mkdir()
        place.path.write_bytes(b"x")
        place.sidecar.write_text(json.dumps(sidecar.as_json()))


def _sidecar(number: int, created_at: float, chance: random.Random, words: list[str], weights: list[float]) -> Sidecar:
    width, height = chance.choice(_SIZES)
    positive, negative = (" ".join(chance.choices(words, weights, k=length)) for length in (40, 20))
    facts = FileFacts(f"ComfyUI_{number:05}_.png", "png", "image/png", 1, width, height, created_at)
    return Sidecar(
        sha256=hashlib.sha256(str(number).encode()).hexdigest(),
        source=Source.INGESTED,
        file=facts,
        prompt_id=f"prompt-{number}",
        workflow_name=f"workflow-{number % 7}",
        workflow=_workflow(number, positive, negative, f"model-{min(int(chance.expovariate(0.5)), 20)}.safetensors"),
        metadata={"rating": number % 5, "unique": f"only{number}"},
    )


def _workflow(number: int, positive: str, negative: str, checkpoint: str) -> dict[str, Any]:
    sampler = {"seed": number, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}
    return {
        "3": {"class_type": "KSampler", "inputs": {**sampler, **links}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 1024, "height": 1024, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": positive, "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": negative, "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
    }


Make = Callable[[GalleryRig], Iterator[dict[str, Any]]]


def _each(**wanted: Any) -> Make:
    def make(_rig: GalleryRig) -> Iterator[dict[str, Any]]:
        while True:
            yield wanted

    return make


def _pages() -> list[tuple[str, Make]]:
    def paged(rig: GalleryRig) -> Iterator[dict[str, Any]]:
        items = rig.get(_GALLERY, params={"limit": 50}).json()
        while True:
            yield {"cursor": items["next"]}
            items = rig.get(_GALLERY, params={"limit": 50, "cursor": items["next"]}).json()

    def anywhere(_rig: GalleryRig) -> Iterator[dict[str, Any]]:
        chance = random.Random(2)
        while True:
            yield {"cursor": int((1_700_000_000 + chance.random() * _DAYS * _DAY_S) * 1e6)}

    def words(count: int) -> Make:
        def make(rig: GalleryRig) -> Iterator[dict[str, Any]]:
            chance = random.Random(3)
            known = [item["prompt"].split() for item in rig.listed(limit=200)]
            while True:
                yield {"q": " ".join(chance.choices(chance.choice(known)[:-1], k=count))}

        return make

    return [
        ("first page", _each()),
        ("page after page", paged),
        ("page from anywhere", anywhere),
        ("one day", _each(day="2024-03-01")),
        ("one word of a prompt", words(1)),
        ("three words of a prompt", words(3)),
        ("beginning of a word", _each(q="ab")),
        ("a word of every picture", _each(q="euler")),
        ("a word of one picture", _each(q="only50000")),
        ("no such word", _each(q="thexyzzy")),
        ("common checkpoint", _each(checkpoint="model-0.safetensors")),
        ("rare checkpoint", _each(checkpoint="model-19.safetensors")),
        ("no such checkpoint", _each(checkpoint="none.safetensors")),
        ("workflow", _each(workflow="workflow-3")),
        ("size", _each(min_width=1500)),
        ("no such size", _each(min_width=4000)),
        ("no video", _each(kind="video")),
        ("days of all", _each(_path="/days")),
        ("facets", _each(_path="/facets")),
    ]


def _thorough() -> list[tuple[str, Make]]:
    return [
        ("no such height of a workflow", _each(workflow="workflow-3", min_height=4000)),
        ("everywhere-word and no such size", _each(q="euler", min_width=4000)),
        ("days of a word", _each(_path="/days", q="ab")),
    ]


def _measured(rig: GalleryRig, name: str, make: Make, count: int, most_ms: float) -> bool:
    took_ms: list[float] = []
    wanted = make(rig)
    for _ in range(count + 5):
        parameters = dict(next(wanted))
        path = _GALLERY + parameters.pop("_path", "")
        began = time.perf_counter()
        answer = rig.get(path, params={"limit": 50, **parameters})
        took_ms.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    took_ms = sorted(took_ms[5:])
    p95 = took_ms[int(len(took_ms) * 0.95) - 1]
    found = len(answer.json().get("items", ()))
    print(f"{name:35} {statistics.median(took_ms):7.1f} ms median {p95:7.1f} ms p95  ({found} items)")
    return p95 < most_ms


if __name__ == "__main__":
    sys.exit(main())
