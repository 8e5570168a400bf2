"""Which models there are: types, links, names that come twice, and listings that are kept."""

import os
from pathlib import Path

import pytest
from support.job_stores import Clock
from support.waiting import wait_for

from api.errors import ModelTypeUnknown
from api.models.folders import ModelFolders
from api.models.hashes import HashBook, Hasher
from api.models.watcher import FolderWatcher


def put(root: Path, name: str, content: bytes = b"model") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def listed(folders: ModelFolders, model_type: str | None = None) -> list[tuple[str, str]]:
    return [(model.type, model.file.name) for model in folders.models(model_type)]


def test_types_are_told_by_their_names_and_their_folders(tmp_path: Path) -> None:
    (tmp_path / "my_nodes_models").mkdir()
    (tmp_path / "configs").mkdir()
    (tmp_path / ".cache").mkdir()
    folders = ModelFolders([tmp_path], {})
    assert {"checkpoints", "loras", "vae", "controlnet", "upscale", "my_nodes_models"} <= set(folders.types())
    assert not {"configs", ".cache"} & set(folders.types())
    assert folders.type_of("upscale_models") == folders.type_of("upscale") == "upscale"
    assert folders.type_of("unet") == "diffusion_models"
    for unknown in ("nothing", "..", "../checkpoints", "configs", ""):
        with pytest.raises(ModelTypeUnknown, match=r"there are: .*checkpoints"):
            folders.type_of(unknown)


def test_models_of_all_folders_of_a_type(tmp_path: Path) -> None:
    here, volume = tmp_path / "here", tmp_path / "volume"
    put(here, "checkpoints/b.safetensors")
    put(here, "checkpoints/sub/a.ckpt")
    put(here, "checkpoints/put_checkpoints_here")
    put(here, "checkpoints/.c.safetensors.part")
    put(volume, "checkpoints/b.safetensors", b"hidden by the first one")
    put(volume, "unet/u.gguf")
    put(here, "upscale_models/x4.pth")
    folders = ModelFolders([here, volume], {})
    assert listed(folders, "checkpoints") == [("checkpoints", "b.safetensors"), ("checkpoints", "sub/a.ckpt")]
    assert listed(folders)[2:] == [("diffusion_models", "u.gguf"), ("upscale", "x4.pth")]
    assert folders.models("checkpoints")[0].file.size_bytes == 5


def test_a_folder_of_its_own_takes_the_place_of_the_others(tmp_path: Path) -> None:
    put(tmp_path, "models/loras/a.safetensors")
    put(tmp_path, "elsewhere/b.safetensors")
    folders = ModelFolders([tmp_path / "models"], {"loras": tmp_path / "elsewhere"})
    assert listed(folders, "loras") == [("loras", "b.safetensors")]


def test_links_are_followed_and_not_in_circles(tmp_path: Path) -> None:
    put(tmp_path, "volume/a.safetensors")
    root = tmp_path / "models" / "loras"
    root.mkdir(parents=True)
    (root / "linked").symlink_to(tmp_path / "volume")
    (root / "circle").symlink_to(root)
    (root / "nowhere.safetensors").symlink_to(tmp_path / "gone")
    assert ("loras", "linked/a.safetensors") in listed(ModelFolders([tmp_path / "models"], {}))


def test_a_listing_is_kept_until_it_is_old_or_wrong(tmp_path: Path) -> None:
    clock = Clock()
    folders = ModelFolders([tmp_path], {}, ttl_s=60, clock=clock)
    assert listed(folders) == []
    put(tmp_path, "loras/a.safetensors")
    assert listed(folders) == []
    clock.tick(61)
    assert len(listed(folders)) == 1
    put(tmp_path, "loras/b.safetensors")
    folders.changed()
    assert len(listed(folders)) == 2


def test_changes_are_told_as_they_happen(tmp_path: Path) -> None:
    (tmp_path / "loras").mkdir()
    folders = ModelFolders([tmp_path], {}, ttl_s=3600)
    watcher = FolderWatcher(folders.watched, folders.changed)
    watcher.start()
    try:
        assert listed(folders) == []
        number = iter(range(1000))

        def appears() -> bool:
            # Again and again: nothing says when the watching has begun.
            put(tmp_path, f"loras/{next(number)}.safetensors")
            return bool(listed(folders))

        wait_for(appears, "the news")
    finally:
        watcher.stop()


def hasher_of(folders: ModelFolders, book: HashBook, **options) -> Hasher:
    return Hasher(book, lambda: [model.file for model in folders.models()], **options)


def test_hashes_are_made_once_and_kept(tmp_path: Path) -> None:
    path = put(tmp_path, "models/loras/a.safetensors", b"abc")
    folders = ModelFolders([tmp_path / "models"], {}, ttl_s=0)
    book = HashBook(tmp_path / "hashes.json")
    hasher = hasher_of(folders, book, settle_s=0)
    hasher.start()
    (model,) = folders.models()
    digest = wait_for(lambda: book.of(model.file), "the hash")
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    # Another process knows it without reading the file.
    again = HashBook(tmp_path / "hashes.json")
    assert again.of(model.file) == digest
    path.write_bytes(b"abcd")
    os.utime(path, ns=(1, 1))
    (changed,) = folders.models()
    assert again.of(changed.file) is None
    hasher.wake()
    assert wait_for(lambda: book.of(changed.file), "the new hash") != digest
    path.unlink()
    hasher.wake()
    wait_for(lambda: book.of(changed.file) is None, "it to be forgotten")
    hasher.stop()


def test_a_volume_that_is_away_loses_no_hashes(tmp_path: Path) -> None:
    put(tmp_path, "models/loras/a.safetensors")
    (model,) = ModelFolders([tmp_path / "models"], {}).models()
    book = HashBook(tmp_path / "hashes.json")
    book.note(model.file, "digest")
    (tmp_path / "models").rename(tmp_path / "unplugged")
    book.keep_only([])
    assert book.of(model.file) == "digest"


def test_broken_notes_are_begun_anew(tmp_path: Path) -> None:
    for content in ("", "[]", '{"a": 1}', "{"):
        (tmp_path / "hashes.json").write_text(content)
        HashBook(tmp_path / "hashes.json").keep_only([])
