"""Models of ComfyUIs on other machines: told by their names where there is no folder of that type here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.job_stores import Clock
from support.remote_front import RemoteFront
from support.standin_process import StandinProcess

from api.comfyui.client import ComfyClient
from api.errors import ModelTypeUnknown
from api.models.folders import ModelFolders
from api.models.listing import ModelListing, OfferedModel

THERE = [
    OfferedModel("checkpoints", "sub/a.safetensors"),
    OfferedModel("classifiers", "c.safetensors"),
    OfferedModel("upscale", "x4.pth"),
]


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"model")


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyClient]:
    base = tmp_path_factory.mktemp("there")
    for name in (
        *("checkpoints/sub/a.safetensors", "checkpoints/notes.txt", "classifiers/c.safetensors"),
        *("upscale_models/x4.pth", "configs/v1.safetensors"),
    ):
        put(base / "models" / name)
    with StandinProcess(arguments=["--base-directory", str(base)]) as standin:
        client = ComfyClient(standin.url)
        yield client
        client.close()


def test_models_are_told_by_those_that_have_them(tmp_path: Path, there: ComfyClient) -> None:
    listing = ModelListing(ModelFolders([tmp_path / "none"], {}), lambda: [there, there])
    assert listing.models() == THERE
    assert listing.models(listing.type_of("upscale_models")) == THERE[2:]
    assert listing.models(listing.type_of("classifiers")) == THERE[1:2]
    assert listing.models("loras") == []
    for unknown in ("nothing", "configs", "../checkpoints"):
        with pytest.raises(ModelTypeUnknown):
            listing.type_of(unknown)


def test_a_folder_here_goes_before_what_others_say(tmp_path: Path, there: ComfyClient) -> None:
    put(tmp_path / "models" / "checkpoints" / "own.safetensors")
    listing = ModelListing(ModelFolders([tmp_path / "models"], {}), lambda: [there])
    own, *others = listing.models()
    assert (own.type, others) == ("checkpoints", THERE[1:])
    assert [model.type for model in listing.models("checkpoints")] == ["checkpoints"]


def test_what_was_said_is_kept_for_a_while(tmp_path: Path, there: ComfyClient) -> None:
    clock, sources = Clock(), [there]
    listing = ModelListing(ModelFolders([tmp_path / "none"], {}), lambda: sources, ttl_s=60, clock=clock)
    assert listing.models() == THERE
    sources.clear()
    clock.tick(60)
    assert listing.models() == THERE
    clock.tick(1)
    assert listing.models() == []
    sources.append(there)  # nobody had answered: that is not kept
    assert listing.models() == THERE


def test_one_that_is_away_or_makes_no_sense_hides_no_others(tmp_path: Path, there: ComfyClient) -> None:
    with RemoteFront() as front:
        odd = ComfyClient(front.url)
        front.will("GET /models/loras", times=None, content=[5, None, {"name": "x"}, "l.safetensors"])
        front.will("GET /models/vae", times=None, content={"vae": 1})
        front.will("GET /models", content=["loras", 7, "vae"])
        listing = ModelListing(
            ModelFolders([tmp_path / "none"], {}), lambda: [odd, ComfyClient("http://127.0.0.1:9"), there]
        )
        assert listing.models() == sorted([*THERE, OfferedModel("loras", "l.safetensors")], key=lambda each: each.type)
        odd.close()
